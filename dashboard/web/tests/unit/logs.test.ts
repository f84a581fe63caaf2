import { describe, expect, it } from 'vitest';

import { addressOfLines, merged, timeOfDay, type LogLine } from '../../src/lib/logs';

const line = (seq: number, at_us = seq): LogLine => ({
  seq, at_us, last_us: at_us, count: 1, level: 'info', from: 'scheduler', source: null, target: 't', text: 'x', job: null, layer: null, block: null, about: null,
});
const seqs = (lines: LogLine[]) => lines.map((it) => it.seq);

describe('log lines', () => {
  it('are asked for by what is chosen alone', () => {
    expect(addressOfLines({ level: 'info', from: '', text: '  ' })).toBe('api/logs?level=info');
    expect(addressOfLines({ level: 'warn', from: '0', text: 'a&b=c #1', job: 0, layer: 2, block: 7 }, { after: 0 })).toBe(
      'api/logs?level=warn&from=0&text=a%26b%3Dc+%231&job=0&layer=2&block=7&after=0',
    );
  });

  it('stand by their time, and lines of one moment as they came', () => {
    expect(seqs(merged([line(0, 10), line(1, 30)], [line(2, 20), line(3, 30)], 10))).toEqual([0, 2, 1, 3]);
  });

  it('that come twice are there once', () => {
    expect(seqs(merged([line(0), line(1)], [line(1), line(2)], 10))).toEqual([0, 1, 2]);
  });

  it('that are too many lose the oldest', () => {
    expect(seqs(merged([line(4), line(5)], [line(6), line(3)], 3))).toEqual([4, 5, 6]);
  });

  it('say the time of day', () => {
    const start = new Date(2026, 0, 5, 9, 8, 7).getTime();
    expect(timeOfDay(0, start)).toBe('09:08:07');
    expect(timeOfDay(55_000_000, start)).toBe('09:09:02');
  });
});
