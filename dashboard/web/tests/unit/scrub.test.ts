import { describe, expect, it } from 'vitest';

import { areaPath, busyBuckets, speedFor, speedsFor } from '../../src/lib/scrub';

describe('speeds', () => {
  it('show a short run as fast as it was, and a long one within twenty seconds', () => {
    expect(speedFor(3e6)).toBe(1);
    expect(speedFor(20e6)).toBe(1);
    expect(speedFor(21e6)).toBe(2);
    expect(speedFor(3_600e6)).toBe(250);
    expect(speedFor(1e15)).toBe(10_000);
  });

  it('that are offered make sense for the run, and are never none', () => {
    expect(speedsFor(3e6)).toEqual([0.1, 0.25, 0.5, 1]);
    expect(speedsFor(60e6)).toEqual([0.1, 0.25, 0.5, 1, 2, 5, 10, 25]);
    expect(speedsFor(0)).toEqual([1]);
    for (const span_us of [1, 5e6, 1e9, 1e12]) expect(speedsFor(span_us)).toContain(speedFor(span_us));
  });
});

describe('the picture of a run', () => {
  it('counts what ran in each part, whole or in part', () => {
    expect(busyBuckets([0, 10], [40, 30], 40, 4)).toEqual([1, 2, 2, 1]);
    expect(busyBuckets([5], [25], 40, 4)).toEqual([0.5, 1, 0.5, 0]);
    expect(busyBuckets([12], [13], 40, 4)).toEqual([0, 0.1, 0, 0]);
  });

  it('leaves out what is before or after, and ends with the run', () => {
    expect(busyBuckets([-5, 35, 90], [5, 60, 95], 40, 4)).toEqual([0.5, 0, 0, 0.5]);
    expect(busyBuckets([30], [40], 40, 4)).toEqual([0, 0, 0, 1]);
    expect(busyBuckets([], [], 0, 2)).toEqual([0, 0]);
  });

  it('adds up to the time of all tasks', () => {
    const started = Array.from({ length: 500 }, (_, at) => (at * 7_919) % 10_007);
    const ended = started.map((at, row) => Math.min(10_007, at + ((row * 131) % 900)));
    const time = started.reduce((sum, at, row) => sum + ended[row]! - at, 0);
    const parts = busyBuckets(started, ended, 10_007, 60);
    expect(parts.reduce((sum, value) => sum + value, 0) * (10_007 / 60)).toBeCloseTo(time, 3);
  });

  it('is an area as high as the most', () => {
    expect(areaPath([1, 2], 10, 4)).toBe('M0 4L0.0 2.0L5.0 2.0L5.0 0.0L10.0 0.0L10 4Z');
    expect(areaPath([0, 0], 10, 4)).toBe('M0 4L0.0 4.0L5.0 4.0L5.0 4.0L10.0 4.0L10 4Z');
  });
});
