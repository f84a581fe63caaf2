import { describe, expect, it } from 'vitest';

import { FORMAT_VERSION, type Frame, type StreamWire } from '../../src/lib/frame';
import { clusterSums, jobGroups, nextView, STREAM_COUNT_MAX, workerRows, type View } from '../../src/lib/view';
import { delta, head, job, layer, snapshot, worker } from './fixtures';

function viewOf(...frames: Frame[]): View {
  let view: View | null = null;
  for (const frame of frames) {
    const next = nextView(view, frame);
    if (typeof next === 'string') throw new Error(next);
    view = next;
  }
  if (!view) throw new Error('no frame');
  return view;
}

describe('the view after a frame', () => {
  it('replaces changed rows, adds new ones and forgets those that are gone', () => {
    const view = viewOf(
      snapshot({ jobs: [job(0), job(1)], layers: [layer(0), layer(1, { job: 1 })] }),
      delta(6, { layers: [layer(0, { done: 4 }), layer(2)], gone: { jobs: [1], layers: [1] } }),
    );
    expect([...view.layers.values()].map((row) => [row.k, row.done])).toEqual([
      [0, 4],
      [2, 0],
    ]);
    expect([...view.jobs.keys()]).toEqual([0]);
  });

  it('keeps the one before as it was', () => {
    const before = viewOf(snapshot({ layers: [layer(0)] }));
    const after = nextView(before, delta(6, { layers: [layer(0, { done: 9 })] }));
    expect(typeof after).toBe('object');
    expect(before.layers.get(0)?.done).toBe(0);
  });

  it('asks for a snapshot when a frame was missed, comes twice or comes first', () => {
    const view = viewOf(snapshot());
    expect(nextView(view, delta(7))).toBe('gap');
    expect(nextView(view, delta(5))).toBe('gap');
    expect(nextView(null, delta(6))).toBe('gap');
    expect(nextView(view, snapshot({ seq: 90 }))).toMatchObject({ seq: 90 });
  });

  it('refuses another format and what is no frame', () => {
    expect(nextView(null, snapshot({ v: 99 }))).toBe('version');
    expect(nextView(null, { v: FORMAT_VERSION, kind: 'malformed' } as unknown as Frame)).toBe('malformed');
  });

  it('keeps a bounded stream of the last minute', () => {
    const ended = (block: number, started_us: number): StreamWire => [0, block, 0, 0, started_us, 10, 0, 0, 0];
    const many = Array.from({ length: STREAM_COUNT_MAX }, (_, at) => ended(at, 29_000_000));
    const view = viewOf(
      snapshot({ stream: [ended(1, 1_000_000)] }),
      delta(6, { stream: many }),
      delta(7, { stream: [ended(77, 29_500_000)], head: head({ now_us: 62_000_000 }) }),
    );
    expect(view.stream.length).toBe(STREAM_COUNT_MAX);
    expect(view.stream.at(-1)?.block).toBe(77);
    const later = nextView(view, delta(8, { head: head({ now_us: 120_000_000 }) })) as View;
    expect(later.stream).toEqual([]);
  });

  it('replaces running tasks only when they are told', () => {
    const view = viewOf(snapshot({ running: [[0, 3, 1, 0, 500, 0]] }), delta(6));
    expect(view.running[0]).toMatchObject({ layer: 0, block: 3, worker: 1, duration_us: null });
    expect((nextView(view, delta(7, { running: [] })) as View).running).toEqual([]);
  });
});

describe('what panels list', () => {
  it('puts running jobs first, then the latest', () => {
    const ended = { state: 'succeeded', ended_us: 5 } as const;
    const view = viewOf(
      snapshot({
        jobs: [job(0, ended), job(1), job(2, ended)],
        layers: [layer(4, { job: 1, layer: 1 }), layer(5, { job: 1, layer: 0 })],
      }),
    );
    expect(jobGroups(view).map((group) => group.job.k)).toEqual([1, 2, 0]);
    expect(jobGroups(view)[0]?.layers.map((row) => row.k)).toEqual([5, 4]);
  });

  it('puts workers that are there first, by number in the name', () => {
    const view = viewOf(
      snapshot({
        workers: [
          worker(0, { name: 'w-10' }),
          worker(1, { name: 'w-9' }),
          worker(2, { name: 'w-1', state: 'lost', left_us: 9 }),
        ],
      }),
    );
    expect(workerRows(view).map((row) => row.name)).toEqual(['w-9', 'w-10', 'w-1']);
    expect(clusterSums(view)).toMatchObject({ workers: 2, slots: 4, budget: 200 });
  });
});
