/** The run that is replayed, for all who ask questions: it answers them in place of the server. */
import type { CellStore } from './cells';
import type { TimelineHead, TimelineSums } from './ask';
import type { BlockStory, Key, Outline, StreamWire } from './frame';

/** What answers as the server would, at the time that is shown. */
export interface Playing {
  outline(job: Key): Outline | null;
  block(layer: Key, block: number): BlockStory | null;
  timeline(): TimelineHead;
  tasks(from_us: number, to_us: number): { tasks: StreamWire[] | null };
  sums(from_us: number, to_us: number, first: [Key, number], last: [Key, number]): TimelineSums;
  tile(level: number, index: number): Uint8Array;
  /** Brings the cells of a job's arrays to that time. */
  project(job: Key, store: CellStore): void;
}

let film: Playing | null = null;
const watchers = new Set<() => void>();

export const playing = () => film;

/** Replays a run from here on; `null` shows the cluster. */
export function play(run: Playing | null): void {
  film = run;
}

/** Calls `moved` when another time is shown; returns how to stop. */
export function watchFilm(moved: () => void): () => void {
  watchers.add(moved);
  return () => watchers.delete(moved);
}

/** Another time is shown. */
export function moved(): void {
  for (const watcher of watchers) watcher();
}
