import { describe, expect, it } from 'vitest';

import { CELL_AGAIN, CellStore, HELD, RUNNING, stateCounts, valueOfStep, workerOfCell } from '../../src/lib/cells';
import { arrayFrame } from './fixtures';

describe('the cells of arrays', () => {
  it('are those of the snapshot, changed by the deltas that follow', () => {
    const store = new CellStore();
    expect(store.apply(arrayFrame('snapshot', 4, 7, [[0, 0, 0, 0, 0], [HELD, 2, 1, 80, 60], [HELD, 2, 1, 80, 60]]))).toBe('ok');
    const cells = store.arrays.get(7)!;
    expect(cells.count).toBe(3);
    expect(workerOfCell(cells, 0)).toBeNull();
    expect(workerOfCell(cells, 1)).toBe(257);
    expect(stateCounts(cells).states[HELD]).toBe(2);
    // A delta tells the bits that differ.
    expect(store.apply(arrayFrame('delta', 5, 7, [[RUNNING | CELL_AGAIN, 0, 0, 0, 0]], [[1, 1]], 3))).toBe('ok');
    expect(cells.planes[0]![1]).toBe(HELD ^ RUNNING ^ CELL_AGAIN);
    expect(stateCounts(cells)).toMatchObject({ again: 1 });
    expect(cells.version).toBe(2);
  });

  it('need a snapshot when a frame is missing, and know what is no frame', () => {
    const store = new CellStore();
    expect(store.apply(arrayFrame('delta', 5, 7, []))).toBe('gap');
    store.apply(arrayFrame('snapshot', 4, 7, [[0, 0, 0, 0, 0]]));
    expect(store.apply(arrayFrame('delta', 6, 7, [], [], 1))).toBe('gap');
    const other = arrayFrame('snapshot', 4, 7, []);
    other[0] = 77;
    expect(store.apply(other)).toBe('version');
    const whole = arrayFrame('snapshot', 4, 7, [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]]);
    expect(store.apply(whole.slice(0, -2))).toBe('malformed');
    const huge = [...whole.slice(0, 5), 0xff, 0xff, 0xff, 0x7f, 0, 0];
    expect(store.apply(Uint8Array.from(huge))).toBe('malformed');
  });

  it('reads runs of equal bytes and bytes one by one', () => {
    const store = new CellStore();
    const many = Array.from({ length: 500 }, (_, at) => [at < 300 ? 3 : 0, at % 7, 0, 9, at % 2]);
    expect(store.apply(arrayFrame('snapshot', 0, 1, many))).toBe('ok');
    const { planes } = store.arrays.get(1)!;
    expect([...planes[1]!].every((byte, at) => byte === at % 7)).toBe(true);
    expect(planes[0]!.filter((byte) => byte === 3).length).toBe(300);
  });
});

it('a step is a quarter of an octave', () => {
  expect([0, 1, 5, 9, 41].map(valueOfStep)).toEqual([0, 1, 2, 4, 1024]);
});
