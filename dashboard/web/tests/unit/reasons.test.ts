import { expect, it } from 'vitest';

import { said, type Reasons } from '../../src/lib/reasons';
import { story } from './fixtures';

const waiting = story({ inputs: [{ layer: 1, count: 3, done: 1, runs: [[4, 3]] }] });

const reasons: Reasons = {
  lines: [
    { depth: 0, task: [0, 0], text: 'waits for an input' },
    { depth: 1, task: [1, 4], text: 'ready; of 2 workers 2 have their queues full' },
  ],
  ran: null,
};

it('says what the scheduler says, and of what it waits for apart', () => {
  const { why, because, ran } = said(waiting, reasons, true);
  expect(why).toBe('waits for an input');
  expect(because.map((line) => line.task)).toEqual([[1, 4]]);
  expect(ran).toBe('');
});

it('says why a task ran where it ran', () => {
  const done: Reasons = { lines: [{ depth: 0, task: [0, 0], text: 'done' }], ran: { worker: 3, text: 'ran on worker 3: it had the fewest tasks at hand' } };
  expect(said({ ...waiting, state: 'held' }, done, true).ran).toBe('Ran on worker 3: it had the fewest tasks at hand');
});

it('says what follows from chunks where nobody is asked', () => {
  for (const nobody of [null, { lines: [], ran: null }]) {
    expect(said(waiting, nobody, true)).toEqual({ why: 'waits for 2 chunks that it reads', because: [], ran: '' });
  }
});
