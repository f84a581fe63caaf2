import { describe, expect, it } from 'vitest';

import { percents, shares, thinned, USES } from '../../src/lib/slotuse';

describe("slots' time", () => {
  it('is told in percents that add up to a hundred', () => {
    for (const used of [[1, 1, 1, 0, 0, 0, 0], [7, 11, 13, 17, 19, 23, 29], [0, 0, 0, 0, 0, 0, 5], [999_999, 1, 0, 0, 0, 0, 0]]) {
      const sum = percents(used).reduce((all, it) => all + Math.round(Number(it) * 10), 0);
      expect(sum).toBe(1_000);
    }
    expect(percents(USES.map(() => 0))).toEqual(USES.map(() => '0'));
  });

  it('shows only columns with anything in them', () => {
    expect(shares([30, 0, 10, 0, 0, 0, 0])).toEqual([
      { index: 0, us: 30, share: 0.75 },
      { index: 2, us: 10, share: 0.25 },
    ]);
  });

  it('keeps its sums where buckets are drawn together', () => {
    const buckets = Array.from({ length: 500 }, (_, at) => [at, 1, 0, 0, 0, 2, 0]);
    const thin = thinned(buckets, 160);
    expect(thin.length).toBeLessThanOrEqual(160);
    const all = (rows: number[][]) => rows.flat().reduce((sum, us) => sum + us, 0);
    expect(all(thin)).toBe(all(buckets));
  });
});
