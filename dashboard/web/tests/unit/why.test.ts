import { expect, it } from 'vitest';

import { missingInputs, whyOf } from '../../src/lib/why';
import { story } from './fixtures';

it('a task waits for what it reads, then for its turn', () => {
  const inputs = [{ layer: 1, count: 3, done: 1, runs: [[4, 3] as [number, number]] }];
  expect(missingInputs(story({ inputs }))).toBe(2);
  expect(whyOf(story({ inputs }), true)).toBe('waits for 2 chunks that it reads');
  expect(whyOf(story({}), true)).toContain('its turn');
  expect(whyOf(story({ again: true }), true)).toContain('made again');
  expect(whyOf(story({ inputs }), false)).toContain('job is over');
});

it('what runs or is there needs no excuse', () => {
  for (const state of ['running', 'held', 'spilled'] as const) expect(whyOf(story({ state }), true)).toBe('');
});
