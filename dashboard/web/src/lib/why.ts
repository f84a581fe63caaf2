import { count } from './format';
import type { BlockLink, BlockStory } from './frame';

const known = (link: BlockLink) => link.runs.reduce((sum, [, len]) => sum + len, 0);

/** Chunks that a task reads and that are not there yet. */
export const missingInputs = (story: BlockStory) =>
  story.inputs.reduce((sum, link) => sum + Math.max(0, known(link) - link.done), 0);

/** Why a task is where it is, in a sentence; empty if there is nothing to explain. */
export function whyOf(story: BlockStory, isJobRunning: boolean): string {
  const missing = missingInputs(story);
  switch (story.state) {
    case 'waiting':
      if (!isJobRunning) return 'its job is over, and did not need it';
      if (missing > 0) return `waits for ${count(missing)} ${missing === 1 ? 'chunk' : 'chunks'} that it reads`;
      if (story.again) return 'its chunk is gone; it is made again once somebody needs it';
      return 'has all that it reads; waits for its turn, or for memory to be free';
    case 'given':
      return 'its worker fetches what it reads, or has no slot free';
    case 'released':
      return 'dropped: all who needed it have read it';
    case 'failed':
      return 'its latest attempt failed';
    case 'running':
    case 'held':
    case 'spilled':
      return '';
  }
}
