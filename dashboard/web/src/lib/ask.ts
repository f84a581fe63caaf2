import type { BlockStory, Key, Outline, StreamWire } from './frame';

/** Asks the server once. `null` if it does not know, or does not answer. */
export async function ask<T>(path: string, signal?: AbortSignal): Promise<T | null> {
  try {
    const response = await fetch(new URL(path, document.baseURI), signal ? { signal } : {});
    return response.ok ? ((await response.json()) as T) : null;
  } catch {
    return null;
  }
}

export const askOutline = (job: Key) => ask<Outline>(`api/plans/${job}`);

export const askBlock = (layer: Key, block: number, signal?: AbortSignal) =>
  ask<BlockStory>(`api/blocks/${layer}/${block}`, signal);

/** What there is on the timeline. */
export interface TimelineHead {
  first_us: number | null;
  end_us: number | null;
  tasks: number;
  forgotten: number;
}

/** What tasks of some lanes did in a span of time. */
export interface TimelineSums {
  tasks: number;
  lanes: number;
  busy_us: number;
  /** Layer's key, tasks, time; the longest first. */
  layers: [Key, number, number][];
  /** Bytes that the workers of these lanes moved meanwhile. */
  moved: [MoveClass, number][];
}

export type MoveClass = 'peer' | 'source' | 'spill' | 'read_back';

/** Movements of a kind at a worker, close together. */
export interface MoveSpan {
  worker: Key;
  class: MoveClass;
  began_us: number;
  ended_us: number;
  bytes: number;
}

export interface MoveSums {
  count: number;
  bytes: number;
  busy_us: number;
}

export interface MovedLayer {
  layer: Key;
  moved: number;
  fetches: number;
  fetch_us: number;
  /** `null` if its plan is not known. */
  needed: number | null;
  source: number;
  spilled: number;
  read_back: number;
  excess: number;
}

export interface CommunicationTold {
  pairs: [Key, Key, MoveSums][];
  own: [Key, MoveClass, MoveSums][];
  flows: [Key | null, Key | null, MoveSums][];
  layers: MovedLayer[];
  left_out: MoveSums;
  lost: number;
}

export interface Finding {
  kind: string;
  cost_us: number;
  text: string;
  remedy: string;
  layer: Key | null;
  worker: Key | null;
  block: number | null;
  span_us: [number, number] | null;
}

export interface InsightsTold {
  now_us: number;
  accounts: { bucket_us: number; columns: string[]; buckets: number[][]; workers: [Key, number[]][] };
  findings: Finding[];
}

export const askCommunication = () => ask<CommunicationTold>('api/communication');

export const askInsights = () => ask<InsightsTold>('api/insights');

export const askMoves = (from_us: number, to_us: number) =>
  ask<{ spans: MoveSpan[]; forgotten: number }>(`api/timeline/moves/${Math.max(0, Math.floor(from_us))}/${Math.max(0, Math.ceil(to_us))}`);

export const askTimeline = () => ask<TimelineHead>('api/timeline');

export const askTasks = (from_us: number, to_us: number) =>
  ask<{ tasks: StreamWire[] | null }>(`api/timeline/tasks/${Math.max(0, Math.floor(from_us))}/${Math.max(0, Math.ceil(to_us))}`);

export const askSums = (from_us: number, to_us: number, first: [Key, number], last: [Key, number]) =>
  ask<TimelineSums>(`api/timeline/sums/${[Math.max(0, Math.floor(from_us)), Math.max(0, Math.ceil(to_us)), ...first, ...last].join('/')}`);

export async function askBytes(path: string): Promise<Uint8Array | null> {
  try {
    const response = await fetch(new URL(path, document.baseURI));
    return response.ok ? new Uint8Array(await response.arrayBuffer()) : null;
  } catch {
    return null;
  }
}
