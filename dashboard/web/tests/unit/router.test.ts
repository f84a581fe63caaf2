import { describe, expect, it, vi } from 'vitest';

vi.stubGlobal('location', { hash: '' });
const { addressOf, parseRoute } = await import('../../src/lib/router.svelte');

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
});
