/** The timeline of a film: the answers that the server gives for a cluster that runs. */
import type { TimelineSums } from './ask';
import { firstAbove, type FilmLane, type FilmTasks } from './film';
import { FORMAT_VERSION, type Key, type StreamWire } from './frame';
import { TILE_BASE_US, TILE_BUCKETS, tileSpan } from './tiles';

/** Tasks of a span of time that are drawn one by one, as on the server. */
export const FILM_TASK_COUNT_MAX = 6_000;

/** Calls `see` for each task of a lane that overlaps a span of time. Tasks of a lane hardly overlap each other. */
function each({ started, ended }: FilmTasks, lane: FilmLane, from_us: number, to_us: number, see: (row: number) => void): void {
  const end = firstAbove(started, to_us, lane.first, lane.end);
  let row = firstAbove(started, from_us, lane.first, lane.end);
  // Those that began before and go on; late ones may stand behind short ones.
  row = Math.max(lane.first, row - 64);
  for (; row < end; row += 1) if (ended[row]! > from_us && started[row]! < to_us) see(row);
}

export function wireOf(tasks: FilmTasks, lane: FilmLane, row: number): StreamWire {
  const { started, ended, fetch, layer, block, marks } = tasks;
  return [layer[row]!, block[row]!, lane.worker, lane.slot, started[row]!, ended[row]! - started[row]!, fetch[row]!, 0, marks[row]!];
}

/** The single tasks of a span; `null` if there are too many. */
export function filmTasks(tasks: FilmTasks, lanes: FilmLane[], from_us: number, to_us: number): StreamWire[] | null {
  const found: StreamWire[] = [];
  for (const lane of lanes) {
    const rows = firstAbove(tasks.started, to_us, lane.first, lane.end) - firstAbove(tasks.started, from_us, lane.first, lane.end);
    if (found.length + rows > FILM_TASK_COUNT_MAX) return null;
    each(tasks, lane, from_us, to_us, (row) => found.push(wireOf(tasks, lane, row)));
  }
  return found.length > FILM_TASK_COUNT_MAX ? null : found;
}

/** Sums over a span of time, and the lanes from one to another. */
export function filmSums(tasks: FilmTasks, lanes: FilmLane[], from_us: number, to_us: number, first: [Key, number], last: [Key, number]): TimelineSums {
  const sums: TimelineSums = { tasks: 0, lanes: 0, busy_us: 0, layers: [], moved: [] };
  const layers = new Map<Key, [Key, number, number]>();
  const before = (a: readonly number[], b: readonly number[]) => a[0]! < b[0]! || (a[0] === b[0] && a[1]! < b[1]!);
  for (const lane of lanes) {
    const name = [lane.worker, lane.slot];
    if (before(name, first) || before(last, name)) continue;
    let seen = 0;
    each(tasks, lane, from_us, to_us, (row) => {
      const us = Math.min(to_us, tasks.ended[row]!) - Math.max(from_us, tasks.started[row]!);
      const of = layers.get(tasks.layer[row]!) ?? [tasks.layer[row]!, 0, 0];
      layers.set(of[0], [of[0], of[1] + 1, of[2] + us]);
      sums.busy_us += us;
      seen += 1;
    });
    sums.tasks += seen;
    sums.lanes += seen > 0 ? 1 : 0;
  }
  sums.layers = [...layers.values()].sort((a, b) => b[2] - a[2]);
  return sums;
}

/** A tile in the form of the server's: `src/aggregate/tiles.rs`. */
export function filmTile(tasks: FilmTasks, lanes: FilmLane[], level: number, index: number): Uint8Array {
  const span = tileSpan(level);
  const bucket_us = TILE_BASE_US * 2 ** level;
  const [from_us, to_us] = [index * span, (index + 1) * span];
  const out: number[] = [];
  let told = 0;
  const parts = [new Float64Array(TILE_BUCKETS), new Float64Array(TILE_BUCKETS)] as const;
  const layers = new Uint32Array(TILE_BUCKETS);
  for (const lane of lanes) {
    const [busy, ofLayer] = parts;
    let isEmpty = true;
    busy.fill(0);
    ofLayer.fill(0);
    layers.fill(0);
    each(tasks, lane, from_us, to_us, (row) => {
      isEmpty = false;
      const [begin, end] = [Math.max(tasks.started[row]!, from_us) - from_us, Math.min(tasks.ended[row]!, to_us) - from_us];
      const layer = tasks.layer[row]! + 1;
      for (let at = Math.floor(begin / bucket_us); at < TILE_BUCKETS && at * bucket_us < end; at += 1) {
        const part = (Math.min(end, (at + 1) * bucket_us) - Math.max(begin, at * bucket_us)) / bucket_us;
        busy[at]! += part;
        if (layers[at] === layer) ofLayer[at]! += part;
        else if (part > ofLayer[at]!) {
          layers[at] = layer;
          ofLayer[at] = part;
        }
      }
    });
    if (isEmpty) continue;
    told += 1;
    put(out, lane.worker);
    put(out, lane.slot);
    const level15 = Array.from(busy, (part) => Math.ceil(Math.min(1, part) * 15));
    const runs: [number, number, number][] = [];
    for (let at = 0; at < TILE_BUCKETS; at += 1) {
      const last = runs.at(-1);
      if (last && last[1] === layers[at] && last[2] === level15[at]) last[0] += 1;
      else runs.push([1, layers[at]!, level15[at]!]);
    }
    put(out, runs.length);
    for (const [len, layer, part] of runs) {
      put(out, len);
      put(out, layer);
      out.push(part);
    }
  }
  const head = [FORMAT_VERSION, 1];
  put(head, told);
  return Uint8Array.from(head.concat(out));
}

function put(out: number[], value: number): void {
  let left = value;
  while (left >= 0x80) {
    out.push((left % 0x80) | 0x80);
    left = Math.floor(left / 0x80);
  }
  out.push(left);
}
