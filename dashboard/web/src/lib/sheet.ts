/**
 * Where the cells of an array lie on a sheet: two axes are shown as a grid, and the others either stand still at one
 * index or are unrolled, a grid for each of their indices side by side as on a contact sheet.
 */
export interface Sheet {
  rows: number;
  columns: number;
  /** Blocks from one row, and from one column, to the next. */
  rowStride: number;
  columnStride: number;
  /** The block of each grid's first cell. */
  origins: readonly number[];
  /** Grids side by side. */
  across: number;
  /** Pixels of a cell; below one, several cells share a pixel. */
  cell: number;
  /** Pixels between two grids. */
  gap: number;
  width: number;
  height: number;
}

export interface SheetWish {
  /** Blocks of each axis, slowest first. */
  counts: readonly number[];
  /** The axis that goes down and the one that goes right; `null` for those that the array lacks. */
  down: number | null;
  right: number | null;
  /** The index at which each other axis stands; `null` to unroll them. */
  at: readonly number[] | null;
  width: number;
  height: number;
  cellMax: number;
  /** Device pixels to a pixel: cells are whole device pixels. */
  ratio: number;
}

/** Grids that are unrolled; more are chosen from by sliders. */
export const GRID_COUNT_MAX = 64;
const GAP = 8;

export function strides(counts: readonly number[]): number[] {
  const strides = counts.map(() => 1);
  for (let axis = counts.length - 2; axis >= 0; axis -= 1) {
    strides[axis] = (strides[axis + 1] ?? 1) * (counts[axis + 1] ?? 1);
  }
  return strides;
}

/** How many grids unrolling takes. */
export function gridCount({ counts, down, right }: Pick<SheetWish, 'counts' | 'down' | 'right'>): number {
  return counts.reduce((product, count, axis) => (axis === down || axis === right ? product : product * count), 1);
}

/** The sheet with the largest cells that fit. */
export function layOut(wish: SheetWish): Sheet {
  const { counts, down, right, width, height, cellMax } = wish;
  const steps = strides(counts);
  const origins = originsOf(wish, steps);
  let [rows, columns] = [down === null ? 1 : (counts[down] ?? 1), right === null ? 1 : (counts[right] ?? 1)];
  const [columnStride] = [right === null ? 1 : (steps[right] ?? 1)];
  let rowStride = down === null ? 0 : (steps[down] ?? 1);
  if (down === null && origins.length === 1 && columns > 1) {
    // An array of one axis runs on in the next row, as text does.
    const perRow = wrapAt(columns, width, height, cellMax);
    rows = Math.ceil(columns / perRow);
    columns = perRow;
    rowStride = perRow * columnStride;
  }
  const best = fit(origins.length, rows, columns, wish);
  const down_count = Math.ceil(origins.length / best.across);
  return {
    rows,
    columns,
    rowStride,
    columnStride,
    origins,
    ...best,
    width: Math.ceil(best.across * columns * best.cell + (best.across - 1) * best.gap),
    height: Math.ceil(down_count * rows * best.cell + (down_count - 1) * best.gap),
  };
}

function originsOf({ counts, down, right, at }: SheetWish, steps: readonly number[]): number[] {
  let origins = [0];
  counts.forEach((count, axis) => {
    if (axis === down || axis === right) return;
    const step = steps[axis] ?? 1;
    const indices = at ? [Math.min(at[axis] ?? 0, count - 1)] : Array.from({ length: count }, (_, index) => index);
    origins = origins.flatMap((origin) => indices.map((index) => origin + index * step));
  });
  return origins;
}

function wrapAt(count: number, width: number, height: number, cellMax: number): number {
  for (let cell = cellMax; cell >= 1; cell -= 1) {
    const perRow = Math.max(1, Math.floor(width / cell));
    if (Math.ceil(count / perRow) * cell <= height) return Math.min(count, perRow);
  }
  return Math.min(count, Math.max(1, Math.ceil(Math.sqrt((count * width) / Math.max(1, height)))));
}

function fit(grids: number, rows: number, columns: number, { width, height, cellMax, ratio }: SheetWish) {
  const whole = (length: number) => Math.floor(length * ratio) / ratio;
  const gap = grids > 1 ? whole(GAP) : 0;
  let best = { across: grids, cell: 0, gap };
  for (let across = 1; across <= grids; across += 1) {
    const down = Math.ceil(grids / across);
    const room = Math.min(
      (width - (across - 1) * gap) / (across * columns),
      (height - (down - 1) * gap) / (down * rows),
    );
    const cell = room * ratio >= 1 ? whole(Math.min(cellMax, room)) : Math.max(room, 1e-3);
    // Of equals the widest: time runs to the right.
    if (cell >= best.cell) best = { across, cell, gap };
  }
  return best;
}

export interface Place {
  x: number;
  y: number;
}

/** Where a cell begins; `null` if it is not on the sheet. */
export function placeOf(sheet: Sheet, block: number): Place | null {
  for (const [grid, origin] of sheet.origins.entries()) {
    const place = placeInGrid(sheet, block - origin);
    if (place) return add(gridPlace(sheet, grid), { x: place.column * sheet.cell, y: place.row * sheet.cell });
  }
  return null;
}

function placeInGrid(sheet: Sheet, offset: number): { row: number; column: number } | null {
  if (offset < 0) return null;
  const { rows, columns, rowStride, columnStride } = sheet;
  // The larger stride first: what is left over must be a whole number of the smaller ones.
  if (rowStride >= columnStride) {
    const row = rowStride === 0 ? 0 : Math.floor(offset / rowStride);
    const column = (offset - row * rowStride) / columnStride;
    return row < rows && column < columns && Number.isInteger(column) ? { row, column } : null;
  }
  const column = Math.floor(offset / columnStride);
  const row = rowStride === 0 ? (offset === column * columnStride ? 0 : -1) : (offset - column * columnStride) / rowStride;
  return row >= 0 && row < rows && column < columns && Number.isInteger(row) ? { row, column } : null;
}

/** Where a grid begins. */
export function gridPlace(sheet: Sheet, grid: number): Place {
  const [column, row] = [grid % sheet.across, Math.floor(grid / sheet.across)];
  return {
    x: column * (sheet.columns * sheet.cell + sheet.gap),
    y: row * (sheet.rows * sheet.cell + sheet.gap),
  };
}

const add = (a: Place, b: Place): Place => ({ x: a.x + b.x, y: a.y + b.y });

/** The block at a place; `null` between grids, and past the end of the last row. */
export function blockAt(sheet: Sheet, blockCount: number, { x, y }: Place): number | null {
  const [wide, high] = [sheet.columns * sheet.cell + sheet.gap, sheet.rows * sheet.cell + sheet.gap];
  const [gridColumn, gridRow] = [Math.floor(x / wide), Math.floor(y / high)];
  if (x < 0 || y < 0 || gridColumn >= sheet.across) return null;
  const origin = sheet.origins[gridRow * sheet.across + gridColumn];
  const column = Math.floor((x - gridColumn * wide) / sheet.cell);
  const row = Math.floor((y - gridRow * high) / sheet.cell);
  if (origin === undefined || column >= sheet.columns || row >= sheet.rows) return null;
  const block = origin + row * sheet.rowStride + column * sheet.columnStride;
  return block < blockCount ? block : null;
}

/** The cell next to `from` on the sheet, also over the edge of its grid. */
export function step(sheet: Sheet, blockCount: number, from: number | null, dx: number, dy: number): number {
  const place = from === null ? null : placeOf(sheet, from);
  if (from === null || !place) return sheet.origins[0] ?? 0;
  for (let tries = 1; tries <= 2; tries += 1) {
    const jump = tries === 1 ? sheet.cell : sheet.cell + sheet.gap;
    const at = { x: place.x + sheet.cell / 2 + dx * jump, y: place.y + sheet.cell / 2 + dy * jump };
    const block = blockAt(sheet, blockCount, at);
    if (block !== null) return block;
  }
  return from;
}

/** The index of a block on each axis. */
export function unravel(counts: readonly number[], block: number): number[] {
  const steps = strides(counts);
  return counts.map((count, axis) => Math.floor(block / (steps[axis] ?? 1)) % count);
}
