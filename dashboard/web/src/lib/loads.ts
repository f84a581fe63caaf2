/** What workers' memory holds, in words, and as series for a picture. */

import type { Series } from './areas';
import type { Holder, LoadWire, OperationMemory } from './askworkers';
import type { Ink } from './colours';

export const PARTS = [
  { key: 'managed', text: 'chunks', explains: 'managed: results that tasks need or that are kept' },
  { key: 'transit', text: 'in transit', explains: 'set aside for what is fetched or computed' },
  { key: 'other', text: 'other', explains: 'the rest of the processes: libraries, functions of one’s own' },
  { key: 'spilled', text: 'on disk', explains: 'spilled, since memory was short; below the axis' },
] as const;

export type PartKey = (typeof PARTS)[number]['key'];

const PLACE: Record<PartKey, number> = { managed: 1, other: 2, spilled: 3, transit: 4 };

/** How far back each level of the histories reaches. */
export const SPANS = [
  { text: '90 s', us: 90_000_000 },
  { text: '15 min', us: 900_000_000 },
  { text: '3 h', us: 10_800_000_000 },
] as const;

export function partOf(load: LoadWire | undefined, key: PartKey): number {
  return load?.[PLACE[key]] ?? 0;
}

/** What stands on the axis, and what is below it. */
export function loadSeries(loads: readonly LoadWire[]): { above: Series[]; below: Series[] } {
  const series = PARTS.map(({ key, text }) => ({ key, text, look: `part-${key}`, values: loads.map((load) => partOf(load, key)) }));
  return { above: series.slice(0, 3), below: series.slice(3) };
}

/** Bytes of a worker's process that are neither chunks nor set aside; `null` if its memory is not told. */
export function otherOf(row: { resident: number; memory: number; transit: number }): number | null {
  return row.resident > 0 ? Math.max(0, row.resident - row.memory - row.transit) : null;
}

/** Operations over the same buckets, until now: where one is not told, it held nothing. In the order in which they are told, the first lowest. */
export function operationSeries(
  operations: readonly OperationMemory[],
  inkOf: ReadonlyMap<string, Ink>,
  bucket_us: number,
  now_us: number,
): { starts: number[]; series: Series[] } {
  const first = Math.min(...operations.flatMap((it) => it.points.slice(0, 1).map(([at_us]) => at_us)));
  const starts: number[] = [];
  for (let at = first; at <= now_us; at += bucket_us) starts.push(at);
  const series = operations.map((it) => {
    const held = new Map(it.points);
    const ink = inkOf.get(it.name);
    const look = ink ? `ink-${ink.index}${ink.striped ? ' striped' : ''}` : 'no-ink';
    // What is there now is sampled within the next second.
    const latest = it.points.at(-1);
    const isFresh = latest !== undefined && now_us - latest[0] < 2 * bucket_us;
    const values = starts.map((at) => held.get(at) ?? (isFresh && at > latest[0] ? latest[1] : 0));
    return { key: it.name, text: it.name, look, values };
  });
  return { starts, series };
}

/** Why chunks are there, in words. */
export function pinnedBy(it: Pick<Holder, 'kept_as' | 'is_output' | 'is_running'>): string {
  if (it.kept_as.length > 0) return 'kept by name';
  if (it.is_output) return it.is_running ? 'a result of the job' : 'a result of a job that ended';
  return it.is_running ? 'tasks of the job still read it' : 'its job ended';
}
