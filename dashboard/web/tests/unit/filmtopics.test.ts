import { describe, expect, it } from 'vitest';

import type { MoveSpan } from '../../src/lib/ask';
import { FilmTopics, LINE_TOLD_MAX, type TopicPlaces } from '../../src/lib/filmtopics';
import type { LogFilter, LogLine } from '../../src/lib/logs';

const ALL: LogFilter = { level: 'info', from: '', text: '' };

const line = (seq: number, more: Partial<LogLine> = {}): LogLine => ({
  seq, at_us: seq * 10, last_us: seq * 10, count: 1, level: 'info', from: 'worker-1', source: 1, target: 'python', text: `line ${seq}`, job: null, layer: null, block: null, about: null, ...more,
});

const span = (more: Partial<MoveSpan> = {}): MoveSpan => ({ worker: 1, class: 'peer', began_us: 100, ended_us: 200, bytes: 1_000, ...more });

function topics(lines: LogLine[] = [], spans: MoveSpan[] = []): FilmTopics {
  const texts = [{ lost: 0 }, { lost: 7 }, { now_us: 5 }, { lines, forgotten: 3, lost: 2 }, { spans, forgotten: 0 }].map((it) => new TextEncoder().encode(JSON.stringify(it)));
  const blobs = Uint8Array.from(texts.flatMap((it) => [...it]));
  const at = texts.map((_, index) => texts.slice(0, index).reduce((sum, it) => sum + it.length, 0));
  const place = (index: number): [number, number] => [at[index]!, texts[index]!.length];
  const places: TopicPlaces = { communication: [[0, ...place(0)], [4, ...place(1)]], insights: [[2, ...place(2)]], lines: place(3), moves: place(4), held: [], scaling: null, names: place(3) };
  return new FilmTopics(places, blobs);
}

const seqs = (film: FilmTopics, filter: Partial<LogFilter>, at_us = Infinity) => film.lines({ ...ALL, ...filter }, undefined, at_us).lines.map((it) => it.seq);

describe('the topics of a film', () => {
  it('stand from their step until the next one', () => {
    const film = topics();
    expect([0, 3, 4, 160].map((step) => film.communication(step)?.lost)).toEqual([0, 0, 7, 7]);
    expect([0, 1, 2, 9].map((step) => film.insights(step)?.now_us)).toEqual([undefined, undefined, 5, 5]);
  });

  it('have the lines up to a time, by level, source, what they are about, and text', () => {
    const film = topics([
      line(0, { from: 'scheduler', source: null, about: 2 }),
      line(1, { level: 'warn', job: 0 }),
      line(2, { level: 'error', from: 'worker-2', source: 2, job: 0, layer: 4, block: 9, text: 'Cannot PARSE' }),
    ]);
    expect(seqs(film, {})).toEqual([0, 1, 2]);
    expect(seqs(film, {}, 10)).toEqual([0, 1]);
    expect(seqs(film, { level: 'warn' })).toEqual([1, 2]);
    expect(seqs(film, { from: 'scheduler' })).toEqual([0]);
    expect(seqs(film, { from: '2' })).toEqual([0, 2]);
    expect(seqs(film, { job: 0 })).toEqual([1, 2]);
    expect(seqs(film, { layer: 4, block: 9 })).toEqual([2]);
    expect(seqs(film, { layer: 4, block: 8 })).toEqual([]);
    expect(seqs(film, { text: ' parse ' })).toEqual([2]);
    expect(seqs(film, { text: 'SCHED' })).toEqual([0]);
    expect(film.lines(ALL, undefined, 15)).toMatchObject({ kept: [1, 1, 0], forgotten: 3, lost: 2, before: null });
  });

  it('have older lines part by part', () => {
    const film = topics(Array.from({ length: LINE_TOLD_MAX + 20 }, (_, seq) => line(seq)));
    const latest = film.lines(ALL, undefined, Infinity);
    expect([latest.lines.length, latest.before]).toEqual([LINE_TOLD_MAX, 20]);
    const older = film.lines(ALL, 20, Infinity);
    expect([older.lines.length, older.lines[0]?.seq, older.before]).toEqual([20, 0, null]);
  });

  it('have what was moved in a span, and the sums of a box', () => {
    const film = topics([], [span(), span({ worker: 2, class: 'spill', began_us: 300, ended_us: 300, bytes: 50 })]);
    expect(film.moves(0, 1_000, 1_000).spans.length).toBe(2);
    expect(film.moves(0, 1_000, 250).spans.length).toBe(1);
    expect(film.moves(250, 1_000, 1_000).spans.length).toBe(1);
    expect(film.moved(150, 400, 1, 2)).toEqual([['peer', 500], ['spill', 50]]);
    expect(film.moved(150, 400, 2, 2)).toEqual([['spill', 50]]);
  });
});
