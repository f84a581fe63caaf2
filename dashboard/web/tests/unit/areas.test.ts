import { describe, expect, it } from 'vitest';

import { axisAt, nearest, paths, reach, spans, stepPath, sums, type Plot, type Series } from '../../src/lib/areas';

const series = (key: string, ...values: number[]): Series => ({ key, text: key, look: key, values });
const plot = (changes: Partial<Plot> = {}): Plot => ({ starts: [0, 10, 20, 30], bucket_us: 10, from_us: 0, to_us: 40, width: 400, height: 100, ...changes });

describe('areas', () => {
  it('stand on one another, the first on the axis', () => {
    const [first, second] = paths([series('a', 10, 0, 0, 0), series('b', 30, 0, 0, 0)], plot({ starts: [0] }), { top: 100, below: 0 }, 'up');
    expect(first).toBe('M0 90L100 90L100 100L0 100Z');
    expect(second).toBe('M0 60L100 60L100 90L0 90Z');
  });

  it('hang below the axis by the same measure', () => {
    const scale = { top: 75, below: 25 };
    expect(axisAt(100, scale)).toBe(75);
    expect(paths([series('disk', 20)], plot({ starts: [10] }), scale, 'down')).toEqual(['M100 95L200 95L200 75L100 75Z']);
  });

  it('have a gap where nothing is known', () => {
    expect(spans([0, 10, 50, 60, 90], 10)).toEqual([[0, 2], [2, 4], [4, 5]]);
    expect(spans([], 10)).toEqual([]);
    const [path] = paths([series('a', 1, 1, 1, 1)], plot({ starts: [0, 10, 30] }), { top: 1, below: 0 }, 'up');
    expect(path?.match(/M/g)).toHaveLength(2);
  });

  it('do not leave the picture, whatever times they have', () => {
    const [path] = paths([series('a', 5)], plot({ starts: [-30], bucket_us: 500 }), { top: 10, below: 0 }, 'up');
    expect(path).toBe('M0 50L400 50L400 100L0 100Z');
  });

  it('show the limit where it is near, or where pictures are compared', () => {
    const above = [series('a', 30, 10), series('b', 10, 10)];
    expect(sums(above, 2)).toEqual([40, 20]);
    expect(reach(above, [], 2, 100).top).toBeGreaterThan(100);
    expect(reach(above, [], 2, 1_000).top).toBeCloseTo(46);
    expect(reach(above, [], 2, 1_000, true).top).toBeGreaterThan(1_000);
    expect(reach(above, [], 2, 20).top).toBeGreaterThan(40);
  });

  it('have a limit that goes up and down by steps', () => {
    expect(stepPath([50, 50, 100, 0], plot({ starts: [0, 10, 30] }), { top: 100, below: 0 })).toBe('M0 50L100 50L100 50L200 50M300 0L400 0');
    expect(stepPath([], plot({ starts: [] }), { top: 100, below: 0 })).toBe('');
  });

  it('have a scale when there is nothing', () => {
    expect(reach([], [], 0, 0)).toEqual({ top: 1, below: 0 });
    expect(reach([], [series('disk', 10)], 1, 0)).toEqual({ top: 10, below: 11 });
  });

  it('are pointed at by the bucket below the pointer', () => {
    expect([0, 0.2, 0.3, 0.6, 1].map((across) => nearest(plot(), across))).toEqual([0, 0, 1, 2, 3]);
  });
});
