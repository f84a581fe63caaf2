import { describe, expect, it, vi } from 'vitest';

vi.stubGlobal('location', { hash: '' });
const { addressOf, addressOfRun, liveAddressOf, parseRoute } = await import('../../src/lib/router.svelte');

describe('addresses', () => {
  it('name a page and what of it', () => {
    expect(parseRoute('#/array/3/17')).toEqual({ page: 'array', parts: [3, 17] });
    expect(parseRoute(addressOf('array', 5))).toEqual({ page: 'array', parts: [5] });
    expect(addressOf('overview')).toBe('#/');
  });

  it('that make no sense are the overview', () => {
    for (const hash of ['', '#', '#/', '#/nothing/1', '#/__proto__', '#/<script>', 'array']) {
      expect(parseRoute(hash).page).toBe(hash === 'array' ? 'array' : 'overview');
    }
    expect(parseRoute('#/array/-1/x/1e9/3').parts).toEqual([3]);
  });

  it('of a run that is replayed stand before its pages', () => {
    expect(parseRoute(addressOfRun(7))).toEqual({ page: 'overview', parts: [], run: 7 });
    expect(parseRoute('#/run/7/task/3/5')).toEqual({ page: 'task', parts: [3, 5], run: 7 });
    expect(parseRoute('#/run/7')).toEqual({ page: 'overview', parts: [], run: 7 });
    expect(parseRoute(liveAddressOf('runs'))).toEqual({ page: 'runs', parts: [] });
    for (const hash of ['#/run/', '#/run/x/task/1', '#/run/-1', '#/run/99999999999/']) expect(parseRoute(hash).run).toBeUndefined();
  });

  it('say that a page is a panel', () => {
    expect(parseRoute('#/?embedded')).toEqual({ page: 'overview', parts: [], embedded: true });
    expect(parseRoute('#/run/7/task/3/5?embedded')).toEqual({ page: 'task', parts: [3, 5], run: 7, embedded: true });
    expect(parseRoute('#/workers?other')).toEqual({ page: 'workers', parts: [] });
  });
});
