import { describe, expect, it } from 'vitest';

import { ago, bytes, count, duration, elapsed, percent, rate, remaining } from '../../src/lib/format';

/** Spaces that do not break read badly in a test. */
const plain = (text: string) => text.replaceAll('\u00a0', ' ');

describe('numbers for people', () => {
  it('groups counts by three', () => {
    expect([0, 999, 12_345, 10_000_000].map((n) => plain(count(n)))).toEqual(['0', '999', '12 345', '10 000 000']);
  });

  it('gives sizes three figures and never four', () => {
    const sizes = [0, 999, 1_000, 1_024, 1_536, 10 * 1_024, 1_023_000, 5 * 2 ** 30, 2 ** 50];
    expect(sizes.map((n) => plain(bytes(n)))).toEqual([
      '0 B',
      '999 B',
      '0.98 KiB',
      '1.00 KiB',
      '1.50 KiB',
      '10.0 KiB',
      '999 KiB',
      '5.00 GiB',
      '1.00 PiB',
    ]);
    for (let n = 1; n < 2 ** 52; n = Math.ceil(n * 1.07)) {
      expect(plain(bytes(n)).split(' ')[0]?.replace('.', '').length).toBeLessThanOrEqual(3);
    }
  });

  it('gives durations a fitting unit', () => {
    const values = [0, 850, 12_400, 999_499, 1_250_000, 59_900_000, 125_000_000, 7_260_000_000];
    expect(values.map((n) => plain(duration(n)))).toEqual([
      '0 µs',
      '850 µs',
      '12.4 ms',
      '999 ms',
      '1.25 s',
      '59.9 s',
      '2 min 05 s',
      '2 h 01 min',
    ]);
  });

  it('says how long is left no more exactly than it is known', () => {
    expect([0.2, 7.2, 89, 600, 7_200, 200_000].map((n) => plain(remaining(n)))).toEqual([
      '<1 s',
      '~8 s',
      '~89 s',
      '~10 min',
      '~2 h',
      '~2 d',
    ]);
  });

  it('says 100% only when all is there', () => {
    expect([percent(0, 0), percent(999, 1_000), percent(9_999, 10_000), percent(5, 5)]).toEqual([
      '0%',
      '99%',
      '99%',
      '100%',
    ]);
  });

  it('formats rates, clocks and times gone by', () => {
    expect([0, 0.05, 2.34, 15.2, 12_000].map((n) => plain(rate(n)))).toEqual(['0', '3.0/min', '2.3/s', '15/s', '12 000/s']);
    expect([0, 42e6, 3_723e6].map(elapsed)).toEqual(['0:00', '0:42', '1:02:03']);
    expect([3e6, 125e6].map((n) => plain(ago(n)))).toEqual(['3 s ago', '2 min ago']);
  });
});
