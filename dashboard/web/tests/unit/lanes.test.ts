import { describe, expect, it } from 'vitest';

import { ClusterClock } from '../../src/lib/clock';
import type { DrawnTask } from '../../src/lib/frame';
import { health } from '../../src/lib/health';
import { laneAt, laneGroups, laneOf, neighbour, spanFor, taskAt, timeAt, xOf, yOf, type Geometry } from '../../src/lib/lanes';
import { nextView, type View } from '../../src/lib/view';
import { head, job, snapshot, worker } from './fixtures';

const geometry: Geometry = {
  left: 100,
  width: 600,
  top: 2,
  laneHeight: 10,
  groupGap: 5,
  now_us: 60_000_000,
  span_us: 60_000_000,
};

function task(block: number, workerKey: number, slot: number, started_us: number, duration_us: number | null): DrawnTask {
  return { layer: 0, block, worker: workerKey, slot, started_us, duration_us, fetch_us: 0, bytes: 0, marks: 0 };
}

function viewOf(changes: Parameters<typeof snapshot>[0]): View {
  return nextView(null, snapshot(changes)) as View;
}

const view = viewOf({ workers: [worker(0), worker(1, { slots: 3 })] });
const groups = laneGroups(view);
const groupOf = new Map(groups.map((group) => [group.worker.k, group]));

describe('lanes', () => {
  it('are one for each slot, worker by worker', () => {
    expect(groups.map(({ first, count }) => [first, count])).toEqual([
      [0, 2],
      [2, 3],
    ]);
    expect(laneOf(groupOf, task(0, 1, 2, 0, 1))).toBe(4);
    expect(laneOf(groupOf, task(0, 9, 0, 0, 1))).toBeNull();
  });

  it('of a worker that left stay for a minute', () => {
    const left = (left_us: number) => viewOf({ head: head({ now_us: 90_000_000 }), workers: [worker(0, { state: 'lost', left_us })] });
    expect(laneGroups(left(31_000_000)).length).toBe(1);
    expect(laneGroups(left(29_000_000)).length).toBe(0);
  });

  it('are found again from where they are drawn', () => {
    for (let lane = 0; lane < 5; lane += 1) {
      expect(laneAt(geometry, groups, yOf(geometry, groups, lane) + 4)).toBe(lane);
    }
    expect(laneAt(geometry, groups, 24)).toBeNull();
    expect(laneAt(geometry, groups, 500)).toBeNull();
  });

  it('run from the span ago to now', () => {
    expect([xOf(geometry, 0), xOf(geometry, 60_000_000)]).toEqual([100, 700]);
    expect(timeAt(geometry, xOf(geometry, 12_345_678))).toBeCloseTo(12_345_678, 0);
    expect([spanFor(null, 9e6), spanFor(8e6, 9e6), spanFor(10e6, 50e6), spanFor(0, 500e6)]).toEqual([
      60e6, 20e6, 41e6, 60e6,
    ]);
  });
});

describe('finding tasks', () => {
  const tasks = [task(1, 0, 0, 10, 20), task(2, 0, 0, 40, 10), task(3, 0, 1, 12, null), task(4, 1, 0, 41, 5)];

  it('finds the one under the pointer, or the nearest within reach', () => {
    const at = (lane: number, time: number) => taskAt(tasks, groupOf, lane, time, 100, 4)?.block ?? null;
    expect([at(0, 15), at(0, 33), at(0, 35), at(0, 37), at(1, 99), at(4, 15)]).toEqual([1, 1, null, 2, 3, null]);
  });

  it('goes from one to the next by keyboard', () => {
    const go = (from: DrawnTask | null, dx: -1 | 0 | 1, dy: -1 | 0 | 1) =>
      neighbour(tasks, groupOf, 5, from, dx, dy)?.block;
    const [first, second, third] = tasks as [DrawnTask, DrawnTask, DrawnTask];
    expect(go(null, 1, 0)).toBe(4);
    expect(go(first, 1, 0)).toBe(2);
    expect(go(first, -1, 0)).toBe(1);
    expect(go(second, 0, 1)).toBe(3);
    expect(go(third, 0, 1)).toBe(4);
    expect(go(third, 0, -1)).toBe(1);
  });
});

describe('the clock', () => {
  it('believes the frame that came with the least delay', () => {
    const clock = new ClusterClock();
    clock.hear(1_000_000, 50);
    clock.hear(1_100_000, 190);
    expect(clock.now_us(250)).toBeCloseTo(1_200_000, -4);
    clock.hear(1_200_000, 240);
    expect(clock.now_us(250)).toBeCloseTo(1_210_000, -4);
  });

  it('follows a cluster that began anew', () => {
    const clock = new ClusterClock();
    clock.hear(900_000_000, 1_000);
    clock.hear(2_000_000, 1_100);
    expect(clock.now_us(1_100)).toBe(2_000_000);
    clock.reset();
    expect(clock.now_us(5)).toBe(0);
  });
});

describe('the line on health', () => {
  it('says the gravest thing there is to say', () => {
    const grade = (changes: Parameters<typeof snapshot>[0]) => health(viewOf(changes)).grade;
    expect(grade({})).toBe('notice');
    expect(grade({ jobs: [job(0)] })).toBe('alarm');
    expect(grade({ workers: [worker(0)], jobs: [job(0)] })).toBe('calm');
    const failed = job(0, { state: 'failed', ended_us: 29_000_000, message: 'no room' });
    expect(health(viewOf({ workers: [worker(0)], jobs: [failed] })).text).toContain('no room');
    const lost = worker(1, { state: 'lost', left_us: 25_000_000 });
    expect(health(viewOf({ workers: [worker(0), lost] })).text).toContain('worker-1 was lost');
    expect(health(viewOf({ workers: [worker(0, { status_us: 1 })] })).text).toContain('last reported');
  });
});
