import { describe, expect, it } from 'vitest';

import { inks, PALETTE, type Theme } from '../../src/lib/colours';

type Vector = [number, number, number];
type Matrix = [Vector, Vector, Vector];

/** Machado, Oliveira and Fernandes 2009, severity 1, on linear sRGB. */
const EYES: Record<string, Matrix> = {
  full: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

/** The pages' grounds, on which tasks are drawn. */
const GROUNDS: Record<Theme, string> = { light: '#f4f3ee', dark: '#0e1319' };

function linear(hex: string): Vector {
  const channel = (at: number) => {
    const value = parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return [channel(1), channel(3), channel(5)];
}

function seen(matrix: Matrix, [r, g, b]: Vector): Vector {
  const clamp = (value: number) => Math.min(1, Math.max(0, value));
  return matrix.map(([x, y, z]) => clamp(x * r + y * g + z * b)) as Vector;
}

function oklab([r, g, b]: Vector): Vector {
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function contrast(a: string, b: string): number {
  const luminance = ([r, g, bl]: Vector) => 0.2126 * r + 0.7152 * g + 0.0722 * bl;
  const [x, y] = [luminance(linear(a)) + 0.05, luminance(linear(b)) + 0.05];
  return Math.max(x, y) / Math.min(x, y);
}

describe('the palette', () => {
  for (const theme of ['light', 'dark'] as const) {
    for (const [eyes, matrix] of Object.entries(EYES)) {
      it(`tells any two operations apart, ${theme}, ${eyes}`, () => {
        const colours = PALETTE.map((entry) => oklab(seen(matrix, linear(entry[theme]))));
        for (const [at, a] of colours.entries()) {
          for (const b of colours.slice(at + 1)) {
            expect(Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])).toBeGreaterThan(0.06);
          }
        }
      });
    }

    it(`stands out from the ${theme} ground`, () => {
      for (const entry of PALETTE) expect(contrast(entry[theme], GROUNDS[theme])).toBeGreaterThan(2.8);
    });
  }
});

describe('inks', () => {
  it('are the same in every run and differ while there are colours', () => {
    const names = Array.from({ length: PALETTE.length }, (_, at) => `operation-${at}`);
    const first = inks(names);
    expect(inks(names)).toEqual(first);
    expect(new Set([...first.values()].map((ink) => ink.index)).size).toBe(PALETTE.length);
    expect([...first.values()].every((ink) => !ink.striped)).toBe(true);
  });

  it('of an operation do not change when another job comes after', () => {
    const before = inks(['read+where', 'nanmedian']);
    const after = inks(['read+where', 'nanmedian', 'sum', 'mean']);
    for (const [name, ink] of before) expect(after.get(name)).toEqual(ink);
  });

  it('are striped once all colours are taken, and end for any number of names', () => {
    const many = inks(Array.from({ length: 40 }, (_, at) => `n${at}`));
    expect([...many.values()].filter((ink) => !ink.striped).length).toBe(PALETTE.length);
  });
});
