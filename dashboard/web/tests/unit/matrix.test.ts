import { describe, expect, it } from 'vitest';

import { heat, matrixOf, SIDE_COUNT_MAX, type Side } from '../../src/lib/matrix';

const side = (at: number): Side => ({ key: `${at}`, name: `worker-${at}` });
const sums = (bytes: number) => ({ count: 1, bytes, busy_us: 10 });
const byKey = (it: Side) => Number(it.key);

describe('a matrix', () => {
  it('has a row for each that gave and a column for each that took, in order', () => {
    const matrix = matrixOf([[side(3), side(1), sums(5)], [side(0), side(2), sums(9)]], byKey);
    expect(matrix.from.map((it) => it.name)).toEqual(['worker-0', 'worker-3']);
    expect(matrix.to.map((it) => it.name)).toEqual(['worker-1', 'worker-2']);
    expect(matrix.cells).toEqual([[null, sums(9)], [sums(5), null]]);
    expect([matrix.most, matrix.left_out]).toEqual([9, 0]);
  });

  it('shows those with the most bytes, and says how many it leaves out', () => {
    const pairs = Array.from({ length: 300 }, (_, at) => [side(at), side(0), sums(at)] as [Side, Side, ReturnType<typeof sums>]);
    const matrix = matrixOf(pairs, byKey);
    expect(matrix.from.length).toBe(SIDE_COUNT_MAX);
    expect(matrix.from[0]?.key).toBe(`${300 - SIDE_COUNT_MAX}`);
    expect(matrix.left_out).toBe(300 - SIDE_COUNT_MAX);
  });

  it('makes small things visible beside large ones, and nothing blank', () => {
    expect([0, 1, 250, 1_000, 4_000, 4_096].map((bytes) => heat(bytes, 4_096))).toEqual([0, 1, 3, 4, 5, 5]);
    expect(heat(5, 0)).toBe(0);
  });
});
