import type { BlockStory, Key, Outline, StreamWire } from './frame';
import { playing } from './playing';
import type { RunKey, RunRow } from './runs';

/** Asks the server once. `null` if it does not know, or does not answer. A run that is shown answers itself. */
async function ask<T>(path: string, signal?: AbortSignal): Promise<T | null> {
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

export async function askSums(from_us: number, to_us: number, first: [Key, number], last: [Key, number]): Promise<TimelineSums | null> {
  const [from, to] = whole(from_us, to_us);
  const film = playing();
  return film ? film.sums(from, to, first, last) : ask<TimelineSums>(`api/timeline/sums/${[from, to, ...first, ...last].join('/')}`);
}

/** The history of runs, the latest first. */
export const askRuns = () => ask<{ runs: RunRow[]; on_disk: boolean }>('api/runs');

export const askFilm = (run: RunKey) => fetchBytes(`api/runs/${run}/film`);

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
