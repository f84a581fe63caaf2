import { describe, expect, it } from 'vitest';

import { FORMAT_VERSION } from '../../src/lib/frame';
import { decodeTile, laneName, levelFor, TILE_BASE_US, TileStore, tileSpan } from '../../src/lib/tiles';
import { clamped, panned, rulerTimes, timeText, zoomed } from '../../src/lib/viewport';

/** One lane whose first half is layer 4 at full, and whose second half is idle. */
const tile = (settled: boolean, ...more: number[]) =>
  Uint8Array.from([FORMAT_VERSION, settled ? 1 : 0, 1, 7, 2, 2, 0x80, 0x01, 5, 15, 0x80, 0x01, 0, 0, ...more]);

describe('a tile', () => {
  it('has buckets for each lane', () => {
    const told = decodeTile(tile(true), 3, 9, 0)!;
    expect(told).toMatchObject({ level: 3, index: 9, isSettled: true });
    const lane = told.lanes.get(laneName(7, 2))!;
    expect([lane.layers[0], lane.layers[127], lane.layers[128], lane.busy[127], lane.busy[255]]).toEqual([5, 5, 0, 15, 0]);
  });

  it('is refused where it is none', () => {
    expect(decodeTile(tile(true, 3), 0, 0, 0)).toBeNull();
    expect(decodeTile(tile(true).slice(0, -1), 0, 0, 0)).toBeNull();
    expect(decodeTile(Uint8Array.of(99), 0, 0, 0)).toBeNull();
  });

  it('is asked for once, and anew only while it may change', async () => {
    const asked: string[] = [];
    let settled = true;
    const store = new TileStore(() => undefined, async (path) => (asked.push(path), tile(settled)));
    const span = tileSpan(2);
    store.want(2, 0, span / 2, 0);
    store.want(2, 0, span / 2, 0);
    await Promise.resolve().then(() => undefined);
    await new Promise((done) => setTimeout(done));
    store.want(2, 0, span / 2, 60_000);
    expect(asked).toEqual(['api/timeline/tiles/2/0']);
    settled = false;
    store.want(2, span, span * 1.5, 60_000);
    await new Promise((done) => setTimeout(done));
    store.want(2, span, span * 1.5, 60_100);
    store.want(2, span, span * 1.5, 63_000);
    expect(asked.length).toBe(3);
    expect(store.find(2, 1)?.isSettled).toBe(false);
  });

  it('has buckets as wide as a pixel at its level', () => {
    for (const usPerPixel of [1, 1_024, 5_000, 1e6, 1e15]) {
      const level = levelFor(usPerPixel);
      expect(TILE_BASE_US * 2 ** level <= Math.max(TILE_BASE_US, usPerPixel)).toBe(true);
    }
    expect([levelFor(1_024), levelFor(2_048), levelFor(1e30)]).toEqual([0, 1, 26]);
  });
});

describe('what is shown', () => {
  it('keeps what is under the pointer when it comes closer', () => {
    const view = zoomed({ from_us: 100, to_us: 300 }, 0.5, 150);
    expect(view).toEqual({ from_us: 125, to_us: 225 });
    expect(panned(view, 0.5)).toEqual({ from_us: 175, to_us: 275 });
  });

  it('never loses what there is, and never falls to nothing', () => {
    for (const view of [{ from_us: -1e12, to_us: -1e11 }, { from_us: 1e15, to_us: 2e15 }, { from_us: 5, to_us: 5.0001 }, { from_us: -1e15, to_us: 1e15 }]) {
      const { from_us, to_us } = clamped(view, 60e6);
      expect(to_us - from_us).toBeGreaterThanOrEqual(500);
      expect(to_us).toBeGreaterThan(0);
      expect(from_us).toBeLessThan(60e6);
    }
  });

  it('has a ruler whose times can be told apart', () => {
    for (const span of [1_000, 50_000, 3e6, 47e6, 900e6, 4e10]) {
      const { step_us, times } = rulerTimes({ from_us: 0, to_us: span }, 1_200);
      expect(times.length).toBeGreaterThan(2);
      expect(times.length).toBeLessThan(15);
      expect(new Set(times.map((at) => timeText(at, step_us))).size).toBe(times.length);
    }
    expect(timeText(3_723e6, 1e6)).toBe('1:02:03');
    expect(timeText(1_500_000, 1e5)).toBe('0:01.5');
  });
});
