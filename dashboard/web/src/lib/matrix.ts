import type { MoveSums } from './ask';

/** A row or a column of a matrix. */
export interface Side {
  key: string;
  name: string;
}

export interface Matrix {
  from: Side[];
  to: Side[];
  /** By row and column. */
  cells: (MoveSums | null)[][];
  most: number;
  /** Rows and columns that are not shown. */
  left_out: number;
}

/** More rows or columns than this are not shown, the least of them. */
export const SIDE_COUNT_MAX = 32;

/** A matrix of what moved from one to another; pairs of the same two are added up. Of too many, those with the most bytes are shown, in their order. */
export function matrixOf(pairs: readonly [from: Side, to: Side, sums: MoveSums][], order: (side: Side) => number): Matrix {
  const [from, more] = side(pairs.map(([it, , sums]) => [it, sums.bytes]), order);
  const [to, still] = side(pairs.map(([, it, sums]) => [it, sums.bytes]), order);
  const [rowOf, columnOf] = [from, to].map((sides) => new Map(sides.map((it, at) => [it.key, at])));
  const cells: (MoveSums | null)[][] = from.map(() => to.map(() => null));
  let most = 0;
  for (const [a, b, sums] of pairs) {
    const [row, column] = [cells[rowOf?.get(a.key) ?? -1], columnOf?.get(b.key)];
    if (!row || column === undefined) continue;
    const known = row[column];
    const all = known ? { count: known.count + sums.count, bytes: known.bytes + sums.bytes, busy_us: known.busy_us + sums.busy_us } : sums;
    row[column] = all;
    most = Math.max(most, all.bytes);
  }
  return { from, to, cells, most, left_out: more + still };
}

function side(sides: [Side, number][], order: (side: Side) => number): [Side[], number] {
  const sums = new Map<string, { side: Side; bytes: number }>();
  for (const [it, bytes] of sides) {
    const known = sums.get(it.key) ?? { side: it, bytes: 0 };
    known.bytes += bytes;
    sums.set(it.key, known);
  }
  const most = [...sums.values()].sort((a, b) => b.bytes - a.bytes).slice(0, SIDE_COUNT_MAX);
  const shown = most.map((it) => it.side).sort((a, b) => order(a) - order(b));
  return [shown, sums.size - shown.length];
}

/** How dark a cell is, from 0 to 5: each step is a fourth of the one above, so that small things are seen beside large ones. */
export function heat(bytes: number, most: number): number {
  if (bytes <= 0 || most <= 0) return 0;
  return Math.max(1, 5 - Math.floor(Math.log(most / bytes) / Math.log(4)));
}
