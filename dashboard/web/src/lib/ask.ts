import type { BlockStory, Key, Outline, StreamWire } from './frame';
import { addressOfLines, type LinesTold, type LogFilter } from './logs';
import { playing } from './playing';
import type { Reasons } from './reasons';
import type { RunKey, RunsTold } from './runs';

/** Asks the server once. `null` if it does not know, or does not answer. A run that is shown answers itself. */
export async function ask<T>(path: string, signal?: AbortSignal): Promise<T | null> {
  try {
    const response = await fetch(new URL(path, document.baseURI), signal ? { signal } : {});
    return response.ok ? ((await response.json()) as T) : null;
  } catch {
    return null;
  }
}

export async function askOutline(job: Key): Promise<Outline | null> {
  const film = playing();
  return film ? film.outline(job) : ask<Outline>(`api/plans/${job}`);
}

export async function askBlock(layer: Key, block: number, signal?: AbortSignal): Promise<BlockStory | null> {
  const film = playing();
  return film ? film.block(layer, block) : ask<BlockStory>(`api/blocks/${layer}/${block}`, signal);
}

/** Why a task is where it is. Nobody is asked while the page is hidden, or of a run that is replayed. */
export async function askReasons(layer: Key, block: number, signal?: AbortSignal): Promise<Reasons | null> {
  if (playing() || document.visibilityState === 'hidden') return null;
  return ask<Reasons>(`api/reasons/${layer}/${block}`, signal);
}

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

export async function askCommunication(): Promise<CommunicationTold | null> {
  const film = playing();
  return film ? film.communication() : ask<CommunicationTold>('api/communication');
}

export async function askInsights(): Promise<InsightsTold | null> {
  const film = playing();
  return film ? film.insights() : ask<InsightsTold>('api/insights');
}

export async function askLines(filter: LogFilter, cursor: { after?: number; before?: number }): Promise<LinesTold | null> {
  const film = playing();
  return film ? film.lines(filter, cursor.before) : ask<LinesTold>(addressOfLines(filter, cursor));
}

export async function askTimeline(): Promise<TimelineHead | null> {
  const film = playing();
  return film ? film.timeline() : ask<TimelineHead>('api/timeline');
}

const whole = (from_us: number, to_us: number) => [Math.max(0, Math.floor(from_us)), Math.max(0, Math.ceil(to_us))] as const;

export async function askTasks(from_us: number, to_us: number): Promise<{ tasks: StreamWire[] | null } | null> {
  const [from, to] = whole(from_us, to_us);
  const film = playing();
  return film ? film.tasks(from, to) : ask<{ tasks: StreamWire[] | null }>(`api/timeline/tasks/${from}/${to}`);
}

/** What was moved in a span. */
export async function askMoves(from_us: number, to_us: number): Promise<{ spans: MoveSpan[]; forgotten: number } | null> {
  const [from, to] = whole(from_us, to_us);
  const film = playing();
  return film ? film.moves(from, to) : ask<{ spans: MoveSpan[]; forgotten: number }>(`api/timeline/moves/${from}/${to}`);
}

export async function askSums(from_us: number, to_us: number, first: [Key, number], last: [Key, number]): Promise<TimelineSums | null> {
  const [from, to] = whole(from_us, to_us);
  const film = playing();
  return film ? film.sums(from, to, first, last) : ask<TimelineSums>(`api/timeline/sums/${[from, to, ...first, ...last].join('/')}`);
}

/** The history of runs, the latest first. */
export const askRuns = () => ask<RunsTold>('api/runs');

/** The film of a run, or why there is none. */
export async function fetchFilm(run: RunKey): Promise<Uint8Array<ArrayBuffer> | string> {
  try {
    const response = await fetch(new URL(`api/runs/${run}/film`, document.baseURI));
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
    return response.status === 404 ? 'There is no such run, or it is no longer kept.' : `The cluster refused to show this run (${response.status}).`;
  } catch {
    return 'The cluster does not answer. Reload the page to try again.';
  }
}

/** A tile of the timeline. */
export async function askTile(path: string): Promise<Uint8Array | null> {
  const film = playing();
  const [, level, index] = /(\d+)\/(\d+)$/.exec(path) ?? [];
  return film ? film.tile(Number(level), Number(index)) : fetchBytes(path);
}

async function fetchBytes(path: string): Promise<Uint8Array<ArrayBuffer> | null> {
  try {
    const response = await fetch(new URL(path, document.baseURI));
    return response.ok ? new Uint8Array(await response.arrayBuffer()) : null;
  } catch {
    return null;
  }
}
