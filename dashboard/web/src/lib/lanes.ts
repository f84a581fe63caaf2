import type { DrawnTask, Key, WorkerRow } from './frame';
import { STREAM_SPAN_US, type View } from './view';

/** A worker's lanes on the task stream. */
export interface LaneGroup {
  worker: WorkerRow;
  /** The index of its first lane. */
  first: number;
  count: number;
}

/** Lanes of all workers that are there or were within the span, in order of joining. */
export function laneGroups(view: View): LaneGroup[] {
  const slots = new Map<Key, number>();
  for (const task of [...view.stream, ...view.running]) {
    slots.set(task.worker, Math.max(slots.get(task.worker) ?? 0, task.slot + 1));
  }
  const oldest_us = view.head.now_us - STREAM_SPAN_US;
  const groups: LaneGroup[] = [];
  let first = 0;
  for (const worker of [...view.workers.values()].sort((a, b) => a.k - b.k)) {
    if (worker.left_us !== null && worker.left_us < oldest_us) continue;
    const count = Math.max(worker.slots, slots.get(worker.k) ?? 0, 1);
    groups.push({ worker, first, count });
    first += count;
  }
  return groups;
}

/** Which lane a task is on; `null` if its worker has none. */
export function laneOf(groups: Map<Key, LaneGroup>, task: DrawnTask): number | null {
  const group = groups.get(task.worker);
  if (!group || task.slot >= group.count) return null;
  return group.first + task.slot;
}

/** Where things are on the canvas, in CSS pixels. */
export interface Geometry {
  /** Where the plot begins, right of the workers' names. */
  left: number;
  width: number;
  /** Where the first lane begins. */
  top: number;
  laneHeight: number;
  /** Between the lanes of two workers. */
  groupGap: number;
  now_us: number;
  /** How much time the plot's width stands for. */
  span_us: number;
}

/** The least that the plot's width stands for. */
export const SPAN_MIN_US = 20_000_000;

/** Time for the plot to show: from the oldest task on, at most the last minute. */
export function spanFor(oldest_us: number | null, now_us: number): number {
  if (oldest_us === null) return STREAM_SPAN_US;
  return Math.min(STREAM_SPAN_US, Math.max(SPAN_MIN_US, now_us - oldest_us + 1_000_000));
}

export function xOf(geometry: Geometry, at_us: number): number {
  return geometry.left + geometry.width * (1 - (geometry.now_us - at_us) / geometry.span_us);
}

export function timeAt(geometry: Geometry, x: number): number {
  return geometry.now_us - (1 - (x - geometry.left) / geometry.width) * geometry.span_us;
}

export function yOf(geometry: Geometry, groups: readonly LaneGroup[], lane: number): number {
  const at = groups.findIndex((group) => lane < group.first + group.count);
  return geometry.top + lane * geometry.laneHeight + Math.max(at, 0) * geometry.groupGap;
}

export function laneAt(geometry: Geometry, groups: readonly LaneGroup[], y: number): number | null {
  for (const group of groups) {
    const from = yOf(geometry, groups, group.first);
    if (y >= from && y < from + group.count * geometry.laneHeight) {
      return group.first + Math.floor((y - from) / geometry.laneHeight);
    }
  }
  return null;
}

/** The height that all lanes take. */
export function lanesHeight(geometry: Pick<Geometry, 'laneHeight' | 'groupGap'>, groups: readonly LaneGroup[]): number {
  const last = groups.at(-1);
  if (!last) return 0;
  return (last.first + last.count) * geometry.laneHeight + (groups.length - 1) * geometry.groupGap;
}

/** The task at a time on a lane, or the nearest one within `slack_us`; the one that began last if they overlap. */
export function taskAt(
  tasks: Iterable<DrawnTask>,
  groups: Map<Key, LaneGroup>,
  lane: number,
  at_us: number,
  now_us: number,
  slack_us: number,
): DrawnTask | null {
  let best: DrawnTask | null = null;
  let bestDistance = slack_us;
  for (const task of tasks) {
    if (laneOf(groups, task) !== lane) continue;
    const end_us = task.started_us + (task.duration_us ?? Math.max(0, now_us - task.started_us));
    const distance = at_us < task.started_us ? task.started_us - at_us : at_us > end_us ? at_us - end_us : 0;
    const isBetter = distance < bestDistance || (distance === bestDistance && task.started_us >= (best?.started_us ?? 0));
    if (isBetter) {
      best = task;
      bestDistance = distance;
    }
  }
  return best;
}

/** Names a task across frames. */
export function taskName(task: DrawnTask): string {
  return `${task.layer}/${task.block}/${task.worker}/${task.slot}`;
}

/** The task before or after `from` on its lane (`dx`), or the nearest in time on the next lane (`dy`). */
export function neighbour(
  tasks: readonly DrawnTask[],
  groups: Map<Key, LaneGroup>,
  laneCount: number,
  from: DrawnTask | null,
  dx: -1 | 0 | 1,
  dy: -1 | 0 | 1,
): DrawnTask | null {
  const placed = tasks
    .map((task) => ({ task, lane: laneOf(groups, task) }))
    .filter((it): it is { task: DrawnTask; lane: number } => it.lane !== null)
    .sort((a, b) => a.task.started_us - b.task.started_us);
  const latest = placed.at(-1)?.task ?? null;
  const fromLane = from && laneOf(groups, from);
  if (!from || fromLane === null) return latest;
  if (dx !== 0) {
    const lane = placed.filter((it) => it.lane === fromLane).map((it) => it.task);
    const at = lane.findIndex((task) => taskName(task) === taskName(from));
    return at < 0 ? latest : (lane[at + dx] ?? from);
  }
  for (let lane = fromLane + dy; lane >= 0 && lane < laneCount; lane += dy) {
    const on = placed.filter((it) => it.lane === lane).map((it) => it.task);
    if (on.length > 0) {
      const distance = (task: DrawnTask) => Math.abs(task.started_us - from.started_us);
      return on.reduce((best, task) => (distance(task) < distance(best) ? task : best));
    }
  }
  return from;
}
