import { describe, expect, it } from 'vitest';

import type { LoadWire } from '../../src/lib/askworkers';
import { loadSeries, operationSeries, otherOf, partOf, pinnedBy } from '../../src/lib/loads';

describe('what memory holds', () => {
  const load: LoadWire = [7, 100, 20, 300, 4];

  it('is read by its name', () => {
    expect(['managed', 'other', 'spilled', 'transit'].map((part) => partOf(load, part as 'managed'))).toEqual([100, 20, 300, 4]);
    expect(partOf(undefined, 'managed')).toBe(0);
  });

  it('is above the axis, and what is on disk below it', () => {
    const { above, below } = loadSeries([load]);
    expect(above.map((it) => [it.key, it.values[0]])).toEqual([['managed', 100], ['transit', 4], ['other', 20]]);
    expect(below.map((it) => [it.key, it.values[0]])).toEqual([['spilled', 300]]);
  });

  it('has another part only where the process tells its memory', () => {
    expect(otherOf({ resident: 0, memory: 5, transit: 1 })).toBeNull();
    expect(otherOf({ resident: 10, memory: 5, transit: 1 })).toBe(4);
    expect(otherOf({ resident: 3, memory: 5, transit: 1 })).toBe(0);
  });
});

describe('operations over time', () => {
  const inks = new Map([['read', { index: 2, striped: false }], ['mean', { index: 3, striped: true }]]);

  it('have the same buckets, and hold nothing where nothing is told', () => {
    const { starts, series } = operationSeries(
      [{ name: 'read', points: [[10, 5], [20, 6]] }, { name: 'mean', points: [[30, 1], [60, 9]] }, { name: '<b>', points: [[20, 2]] }],
      inks,
      10,
      65,
    );
    expect(starts).toEqual([10, 20, 30, 40, 50, 60]);
    expect(series.map((it) => it.values)).toEqual([[5, 6, 0, 0, 0, 0], [0, 0, 1, 0, 0, 9], [0, 2, 0, 0, 0, 0]]);
    expect(series.map((it) => it.look)).toEqual(['ink-2', 'ink-3 striped', 'no-ink']);
  });

  it('hold until the next look what they held a moment ago', () => {
    expect(operationSeries([{ name: 'read', points: [[10, 5]] }], inks, 10, 25).series[0]?.values).toEqual([5, 5]);
  });

  it('may be none', () => {
    expect(operationSeries([], inks, 10, 25)).toEqual({ starts: [], series: [] });
  });
});

describe('what chunks are held for', () => {
  it('is a name, somebody who asked, or tasks to come', () => {
    const of = (kept_as: string[], is_output: boolean, is_running: boolean) => pinnedBy({ kept_as, is_output, is_running });
    expect(of(['k'], true, true)).toBe('kept by name');
    expect(of([], true, true)).toBe('a result of the job');
    expect(of([], false, true)).toBe('tasks of the job still read it');
    expect(of([], false, false)).toBe('its job ended');
  });
});
