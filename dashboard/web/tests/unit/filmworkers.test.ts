import { describe, expect, it } from 'vitest';

import type { HolderName } from '../../src/lib/askworkers';
import { filmMemory, filmRoster, filmWorker, type HeldWire, type Shown } from '../../src/lib/filmworkers';
import { operationSeries } from '../../src/lib/loads';
import { nextView, type View } from '../../src/lib/view';
import { job, layer, snapshot, worker } from './fixtures';

const name = (key: number): HolderName => ({ layer: key, job: 0, job_name: 'mosaic', name: `op-${key}`, origin: null, is_output: false, kept_as: [] });
const MIB = 1 << 20;

function viewOf(memory: number, extra: Partial<Parameters<typeof worker>[1]>[] = []): View {
  const workers = [0, 1, 2].map((key) => worker(key, { name: `w-${10 - key}`, memory: memory * (key + 1), spilled: 0, status_us: 1, state: 'ready', budget: 100 * MIB, ...extra[key] }));
  const view = nextView(null, snapshot({ jobs: [job(0)], layers: [layer(0), layer(1)], workers }));
  if (typeof view === 'string' || !view) throw new Error(`no view: ${view}`);
  return view;
}

function shown(helds: HeldWire[][], extra: Parameters<typeof viewOf>[1] = []): Shown {
  const steps = helds.map((held, step) => ({ at_us: Math.floor((step * 100_003) / 7), view: viewOf(step * MIB, extra), held }));
  const last = steps.at(-1)!;
  return { view: last.view, at_us: last.at_us + 5, steps, step_us: Math.floor(100_003 / 7), names: [name(0), name(1)], scaling: null };
}

describe('the table of workers of a film', () => {
  it('is sorted by names with numbers, and those that are gone come last', () => {
    const at = shown([[]], [{}, { state: 'lost', message: 'reset' }]);
    const names = (direction: 'up' | 'down') => filmRoster(at, 'name', direction, 0).rows.map((row) => row.name);
    expect(names('up')).toEqual(['w-8', 'w-10', 'w-9']);
    expect(names('down')).toEqual(['w-10', 'w-8', 'w-9']);
    const told = filmRoster(at, 'managed', 'down', 0);
    expect([told.ready, told.lost, told.total]).toEqual([2, 1, 3]);
    expect(filmRoster(at, 'name', 'up', 2).rows).toHaveLength(1);
  });
});

describe('the memory of a film', () => {
  const helds: HeldWire[][] = [[], [[0, 0, 2, 500, 0]], [[0, 0, 3, 700, 1], [0, 1, 1, 100, 0], [1, null, 1, 40, 0]], [[1, 2, 4, 90, 0]]];

  it('is that of all workers at each step until then', () => {
    const told = filmMemory(shown(helds), 0);
    expect(told.loads.map((load) => load[1])).toEqual([0, 6 * MIB, 12 * MIB, 18 * MIB]);
    expect(told.limits.at(-1)).toBe(300 * MIB);
    expect(told.workers.map((it) => it.k)).toEqual([2, 1, 0]);
    expect(told.copies).toBe(18 * MIB - 90);
  });

  it('adds up who holds what by operation', () => {
    const { holders, held } = filmMemory(shown(helds.slice(0, 3)), 0);
    expect(holders.map((it) => [it.layer, it.chunks, it.bytes, it.spilled])).toEqual([[0, 4, 800, 1], [1, 1, 40, 0]]);
    expect(holders[0]?.workers).toEqual([[0, 3, 700], [1, 1, 100]]);
    expect(held).toBe(840);
  });

  it('has operations over time at each step, and none of what is gone', () => {
    const told = filmMemory(shown(helds), 0);
    const { series, starts } = operationSeries(told.operations, new Map(), told.bucket_us, told.now_us);
    expect(starts).toHaveLength(3);
    expect(series.map((it) => it.values)).toEqual([[500, 800, 0], [0, 40, 90]]);
  });

  it('of a worker is what it reported and made', () => {
    const told = filmWorker(shown(helds), 2, 0);
    expect(told?.held.map((it) => [it.layer, it.bytes])).toEqual([[1, 90]]);
    expect(told?.loads.map((load) => load[1])).toEqual([0, 3 * MIB, 6 * MIB, 9 * MIB]);
    expect(filmWorker(shown(helds), 9, 0)).toBeNull();
  });
});
