/** The run that is replayed, for all who ask questions: it answers them in place of the server. */
import { untrack } from 'svelte';

import type { CommunicationTold, InsightsTold, MoveSpan, TimelineHead, TimelineSums } from './ask';
import type { Direction, MemoryTold, RosterOrder, RosterTold, ScalingTold, WorkerTold } from './askworkers';
import type { CellStore } from './cells';
import type { BlockStory, Key, Outline, StreamWire } from './frame';
import type { LinesTold, LogFilter } from './logs';

/** What answers as the server would, at the time that is shown. */
export interface Playing {
  outline(job: Key): Outline | null;
  block(layer: Key, block: number): BlockStory | null;
  timeline(): TimelineHead;
  tasks(from_us: number, to_us: number): { tasks: StreamWire[] | null };
  sums(from_us: number, to_us: number, first: [Key, number], last: [Key, number]): TimelineSums;
  tile(level: number, index: number): Uint8Array;
  /** Whether what is told by the others but `scaling` is known: releases of before did not keep it. */
  readonly hasTopics: boolean;
  communication(): CommunicationTold | null;
  insights(): InsightsTold | null;
  roster(order: RosterOrder, direction: Direction, from: number): RosterTold;
  worker(worker: Key, level: number): WorkerTold | null;
  memory(level: number): MemoryTold;
  /** Whether decisions on the number of workers are known. */
  readonly hasScaling: boolean;
  scaling(): ScalingTold | null;
  lines(filter: LogFilter, before?: number): LinesTold | null;
  moves(from_us: number, to_us: number): { spans: MoveSpan[]; forgotten: number };
  /** When it began, in milliseconds since 1970. */
  readonly began_ms: number;
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

/**
 * Looks now, and again after each pause, though not while the page is hidden; at a run that is replayed, whenever another
 * time is shown. Returns how to stop.
 */
export function lookAgain(look: () => Promise<void>, pause_ms: number): () => void {
  const now = () => untrack(() => void look());
  if (film) {
    now();
    return watchFilm(now);
  }
  let isOver = false;
  let timer: ReturnType<typeof setTimeout> | null = null;
  const go = async () => {
    if (document.visibilityState !== 'hidden') await look();
    if (!isOver) timer = setTimeout(() => void go(), pause_ms);
  };
  untrack(() => void go());
  return () => {
    isOver = true;
    if (timer) clearTimeout(timer);
  };
}

/** Another time is shown. */
export function moved(): void {
  for (const watcher of watchers) watcher();
}
