import { describe, expect, it } from 'vitest';

import { blockAt, gridCount, layOut, placeOf, step, unravel, type Sheet, type SheetWish } from '../../src/lib/sheet';

function wish(counts: number[], changes: Partial<SheetWish> = {}): SheetWish {
  const n = counts.length;
  return {
    counts,
    down: n > 1 ? n - 2 : null,
    right: n > 0 ? n - 1 : null,
    at: null,
    width: 400,
    height: 200,
    cellMax: 20,
    ratio: 1,
    ...changes,
  };
}

const total = (counts: number[]) => counts.reduce((a, b) => a * b, 1);

/** Each block has its own place, and is found there again. */
function isOneToOne(sheet: Sheet, blocks: number[], count: number): boolean {
  const places = new Set<string>();
  return blocks.every((block) => {
    const place = placeOf(sheet, block);
    if (!place) return false;
    places.add(`${place.x},${place.y}`);
    const middle = { x: place.x + sheet.cell / 2, y: place.y + sheet.cell / 2 };
    return blockAt(sheet, count, middle) === block;
  }) && places.size === blocks.length;
}

const all = (n: number) => Array.from({ length: n }, (_, at) => at);

describe('a sheet', () => {
  for (const counts of [[], [1], [7], [300], [4, 5], [10, 5, 6], [3, 2, 4, 5]]) {
    for (const ratio of [1, 1.25, 2]) {
      it(`has a place for each chunk of ${JSON.stringify(counts)} at ${ratio}`, () => {
        const sheet = layOut(wish(counts, { ratio }));
        expect(isOneToOne(sheet, all(total(counts)), total(counts))).toBe(true);
        expect(sheet.width).toBeLessThanOrEqual(400);
        expect(sheet.height).toBeLessThanOrEqual(200);
        const devicePixels = sheet.cell * ratio;
        expect(Math.abs(devicePixels - Math.round(devicePixels))).toBeLessThan(1e-9);
      });
    }
  }

  it('shows any two axes, the others at an index', () => {
    const counts = [3, 4, 5];
    const sheet = layOut(wish(counts, { down: 2, right: 0, at: [0, 2, 0] }));
    const shown = all(60).filter((block) => unravel(counts, block)[1] === 2);
    expect(shown.length).toBe(15);
    expect(isOneToOne(sheet, shown, 60)).toBe(true);
    expect(placeOf(sheet, 0)).toBeNull();
    const turned = layOut(wish(counts, { down: 0, right: 2, at: [0, 9, 0] }));
    expect(turned.origins).toEqual([15]);
  });

  it('makes a million chunks fit, several to a pixel if need be', () => {
    const sheet = layOut(wish([1000, 1000], { width: 900, height: 460 }));
    expect(sheet.cell).toBeLessThan(1);
    expect(sheet.height).toBeLessThanOrEqual(460);
    expect(blockAt(sheet, 1e6, { x: sheet.width / 2, y: sheet.height / 2 })).toBeGreaterThan(0);
  });

  it('knows nothing between grids and past the last row', () => {
    const sheet = layOut(wish([2, 3, 3]));
    expect(blockAt(sheet, 18, { x: 3 * sheet.cell + sheet.gap / 2, y: 1 })).toBeNull();
    const wrapped = layOut(wish([7], { width: 60, height: 200 }));
    expect(wrapped.rows).toBe(3);
    expect(blockAt(wrapped, 7, { x: 2.5 * wrapped.cell, y: 2.5 * wrapped.cell })).toBeNull();
  });

  it('is walked through by steps, also over the edge of a grid', () => {
    const sheet = layOut(wish([2, 3, 3]));
    expect(step(sheet, 18, null, 1, 0)).toBe(0);
    expect(step(sheet, 18, 0, 1, 0)).toBe(1);
    expect(step(sheet, 18, 2, 1, 0)).toBe(9);
    expect(step(sheet, 18, 0, 0, -1)).toBe(0);
    expect(step(sheet, 18, 4, 0, 1)).toBe(7);
  });

  it('counts the grids that unrolling takes', () => {
    expect(gridCount({ counts: [3, 4, 5], down: 1, right: 2 })).toBe(3);
    expect(gridCount({ counts: [5], down: null, right: 0 })).toBe(1);
  });
});
