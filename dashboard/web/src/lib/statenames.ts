import { FAILED_CELL, GIVEN, HELD, RELEASED, RUNNING, SPILLED_CELL, WAITING } from './cells';

/** What a cell's state is called. */
export const STATE_NAMES: Record<number, string> = {
  [WAITING]: 'waiting',
  [GIVEN]: 'with a worker',
  [RUNNING]: 'running',
  [HELD]: 'in memory',
  [SPILLED_CELL]: 'on disk',
  [RELEASED]: 'released',
  [FAILED_CELL]: 'failed',
};

/** In the order of a chunk's life, its end first, as progress bars fill. */
export const STATE_ORDER = [RELEASED, HELD, SPILLED_CELL, RUNNING, GIVEN, FAILED_CELL, WAITING] as const;

/** What a story calls the states, in the order of their numbers. */
export const STATE_WORDS = ['waiting', 'given', 'running', 'held', 'released', 'failed', 'spilled'] as const;
