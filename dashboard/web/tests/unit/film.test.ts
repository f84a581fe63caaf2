import { gzipSync } from 'node:zlib';

import { describe, expect, it } from 'vitest';

import { FILM_VERSION, firstAbove, readTasks, unpackFilm, type FilmHead, type FilmTasks } from '../../src/lib/film';
import { FilmError } from '../../src/lib/filmerror';
import { filmSums, filmTasks, filmTile } from '../../src/lib/filmtiles';
import { FORMAT_VERSION } from '../../src/lib/frame';
import { decodeTile } from '../../src/lib/tiles';
import { began } from '../../src/lib/runs';
import { snapshot } from './fixtures';

function head(changes: Partial<FilmHead> = {}): FilmHead {
  return {
    v: FILM_VERSION,
    format: FORMAT_VERSION,
    cluster: 'test',
    began_unix_ms: 0,
    span_us: 100,
    left_out: 0,
    steps_us: [0, 100],
    frames: [[snapshot()], []],
    plans: [],
    arrays: [],
    lanes: [],
    tasks: 0,
    columns_at: 0,
    links: {},
    topics: null,
    ...changes,
  };
}

function packed(of: unknown, blobs: number[] = []): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(JSON.stringify(of));
  const len = new Uint8Array(new Uint32Array([json.length]).buffer);
  return new Uint8Array(gzipSync(Uint8Array.from([...len, ...json, ...blobs])));
}

/** Three tasks on two lanes: two one after the other, one of a later block on the other. */
const COLUMNS = [1, 5, 30, 44, 1, 20, 10, 40, 0, 1, 0, 1, 1, 1, 0, 10, 2, 0];

describe('a film', () => {
  it('comes out as it was packed', async () => {
    const film = await unpackFilm(packed(head({ cluster: 'Gößweinstein' }), [1, 2, 3]));
    expect(film.head.cluster).toBe('Gößweinstein');
    expect([...film.blobs]).toEqual([1, 2, 3]);
  });

  it('that was cut anywhere says so', async () => {
    const whole = packed(head(), [1, 2, 3]);
    for (let len = 0; len < whole.length; len += 7) {
      await expect(unpackFilm(whole.slice(0, len)), String(len)).rejects.toThrow(/Copy the file again/);
    }
  });

  it('that is none, or of another release, says so', async () => {
    await expect(unpackFilm(new TextEncoder().encode('<html>'))).rejects.toThrow(FilmError);
    await expect(unpackFilm(packed(head({ v: 9 })))).rejects.toThrow(/format 9\.\d+, and this page shows/);
    await expect(unpackFilm(new Uint8Array(gzipSync(Uint8Array.from([9, 0, 0, 0, 1]))))).rejects.toThrow(/cut short/);
    await expect(unpackFilm(new Uint8Array(gzipSync(Uint8Array.from([1, 0, 0, 0, 1]))))).rejects.toThrow(/its head makes no sense/);
    await expect(unpackFilm(packed(null))).rejects.toThrow(FilmError);
  });

  it('has its tasks lane by lane', () => {
    const { tasks, lanes } = readTasks(head({ tasks: 3, lanes: [[4, 0, 2], [4, 1, 1]] }), Uint8Array.from(COLUMNS));
    expect([...tasks.started]).toEqual([5, 35, 44]);
    expect([...tasks.ended]).toEqual([25, 45, 84]);
    expect([...tasks.block]).toEqual([0, 5, 6]);
    expect([...tasks.marks]).toEqual([0, 0, 0]);
    expect(lanes).toEqual([
      { worker: 4, slot: 0, first: 0, end: 2 },
      { worker: 4, slot: 1, first: 2, end: 3 },
    ]);
  });

  it('whose tasks are missing says so', () => {
    expect(() => readTasks(head({ tasks: 3, lanes: [[4, 0, 3]] }), Uint8Array.from(COLUMNS.slice(0, 15)))).toThrow(/tasks are missing/);
    expect(() => readTasks(head({ tasks: 3, lanes: [[4, 0, 2]] }), Uint8Array.from(COLUMNS))).toThrow(/lanes make no sense/);
  });
});

describe('the timeline of a film', () => {
  const tasks: FilmTasks = {
    count: 3,
    started: Float64Array.from([0, 600, 100]),
    ended: Float64Array.from([500, 1_000, 900]),
    fetch: Float64Array.from([0, 5, 0]),
    layer: Float64Array.from([0, 1, 1]),
    block: Float64Array.from([7, 8, 9]),
    marks: Float64Array.from([0, 2, 0]),
  };
  const lanes = [
    { worker: 1, slot: 0, first: 0, end: 2 },
    { worker: 2, slot: 0, first: 2, end: 3 },
  ];

  it('has the single tasks of a span', () => {
    expect(filmTasks(tasks, lanes, 550, 2_000)?.map((task) => task[1])).toEqual([8, 9]);
    expect(filmTasks(tasks, lanes, 1_000, 2_000)).toEqual([]);
  });

  it('has the sums of a box', () => {
    const sums = filmSums(tasks, lanes, 400, 700, [1, 0], [2, 0]);
    expect(sums).toEqual({ tasks: 3, lanes: 2, busy_us: 500, layers: [[1, 2, 400], [0, 1, 100]], moved: [] });
    expect(filmSums(tasks, lanes, 400, 700, [2, 0], [2, 9]).busy_us).toBe(300);
  });

  it('has tiles that are read as those of the server', () => {
    const tile = decodeTile(filmTile(tasks, lanes, 0, 0), 0, 0, 0);
    expect([...(tile?.lanes.keys() ?? [])]).toEqual(['1/0', '2/0']);
    expect(decodeTile(filmTile(tasks, lanes, 0, 7), 0, 7, 0)?.lanes.size).toBe(0);
  });

  it('finds what comes after a time', () => {
    const values = Float64Array.from([1, 2, 2, 5]);
    expect([0, 1, 2, 4, 5, 9].map((value) => firstAbove(values, value))).toEqual([0, 1, 3, 3, 4, 4]);
  });
});

describe('when a run began', () => {
  const noon = Date.UTC(2026, 10, 28, 12);

  it('is a time today, and a date before', () => {
    expect(began(noon, noon + 3_600_000, 'en-GB', 'UTC')).toBe('12:00:00');
    expect(began(noon, noon + 13 * 3_600_000, 'en-GB', 'UTC')).toBe('28 Nov 2026, 12:00:00');
    expect(began(noon - 365 * 86_400_000, noon, 'en-GB', 'UTC')).toBe('28 Nov 2025, 12:00:00');
  });
});
