import type { BlockStory, Key } from './frame';
import { whyOf } from './why';

/** A sentence of an explanation. */
export interface ReasonLine {
  /** How many tasks wait for the one that it is about, one for the other. */
  depth: number;
  /** The task that it is about, if it is about one that is known. */
  task: [Key, number] | null;
  text: string;
}

/** Why a task is where it is, as the scheduler says it. */
export interface Reasons {
  lines: ReasonLine[];
  /** Where a task ran that is done, and why there. */
  ran: { worker: Key | null; text: string } | null;
}

/** What the page says. */
export interface Said {
  /** Of the task itself; empty if there is nothing to explain. */
  why: string;
  /** Of what it waits for, each below what waits for it. */
  because: ReasonLine[];
  /** Why it ran where it ran; empty if it did not, or that is not remembered. */
  ran: string;
}

/** A sentence as one begins it. */
const begun = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/**
 * What is said of a task: what the scheduler says, or what follows from the chunks that it reads where nobody is asked: in a
 * replay, or if the scheduler has forgotten its job.
 */
export function said(story: BlockStory, reasons: Reasons | null, isJobRunning: boolean): Said {
  const own = reasons?.lines[0];
  if (!reasons || !own) return { why: whyOf(story, isJobRunning), because: [], ran: '' };
  return { why: own.text, because: reasons.lines.slice(1), ran: reasons.ran ? begun(reasons.ran.text) : '' };
}
