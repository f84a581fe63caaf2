import {
  drawnFromRunning,
  drawnFromStream,
  FORMAT_VERSION,
  type DrawnTask,
  type Failure,
  type Frame,
  type Head,
  type JobRow,
  type Key,
  type LayerRow,
  type WorkerRow,
} from './frame';

/** Ended tasks that the page keeps, as the server does. */
export const STREAM_COUNT_MAX = 5_000;

/** How far the task stream looks back. */
export const STREAM_SPAN_US = 60_000_000;

/** What the page shows. Never changed in place: each frame makes a new one. */
export interface View {
  seq: number;
  cluster: string;
  head: Head;
  jobs: ReadonlyMap<Key, JobRow>;
  layers: ReadonlyMap<Key, LayerRow>;
  workers: ReadonlyMap<Key, WorkerRow>;
  running: readonly DrawnTask[];
  failures: readonly Failure[];
  stream: readonly DrawnTask[];
}

/** Why a frame could not be taken in. */
export type Refusal = 'gap' | 'version' | 'malformed';

/**
 * The view after `frame`. A snapshot replaces all; a delta must be the one that follows, else a fresh snapshot is
 * needed.
 */
export function nextView(view: View | null, frame: Frame): View | Refusal {
  if (frame.v !== FORMAT_VERSION) return 'version';
  if (frame.kind === 'snapshot') {
    return {
      seq: frame.seq,
      cluster: frame.cluster,
      head: frame.head,
      jobs: byKey(frame.jobs),
      layers: byKey(frame.layers),
      workers: byKey(frame.workers),
      running: frame.running.map(drawnFromRunning),
      failures: frame.failures,
      stream: frame.stream.map(drawnFromStream),
    };
  }
  if (frame.kind !== 'delta') return 'malformed';
  if (view === null || frame.seq !== view.seq + 1) return 'gap';
  return {
    seq: frame.seq,
    cluster: view.cluster,
    head: frame.head,
    jobs: merged(view.jobs, frame.jobs, frame.gone?.jobs),
    layers: merged(view.layers, frame.layers, frame.gone?.layers),
    workers: merged(view.workers, frame.workers, frame.gone?.workers),
    running: frame.running ? frame.running.map(drawnFromRunning) : view.running,
    failures: frame.failures ?? view.failures,
    stream: grown(view.stream, (frame.stream ?? []).map(drawnFromStream), frame.head.now_us),
  };
}

function byKey<R extends { k: Key }>(rows: R[]): ReadonlyMap<Key, R> {
  return new Map(rows.map((row) => [row.k, row]));
}

function merged<R extends { k: Key }>(
  known: ReadonlyMap<Key, R>,
  changed: R[] = [],
  gone: Key[] = [],
): ReadonlyMap<Key, R> {
  if (changed.length === 0 && gone.length === 0) return known;
  const rows = new Map(known);
  for (const key of gone) rows.delete(key);
  for (const row of changed) rows.set(row.k, row);
  return rows;
}

function grown(known: readonly DrawnTask[], added: DrawnTask[], now_us: number): readonly DrawnTask[] {
  const oldest_us = now_us - STREAM_SPAN_US;
  const isStale = (task: DrawnTask) => task.started_us + (task.duration_us ?? 0) < oldest_us;
  if (added.length === 0 && (known[0] === undefined || !isStale(known[0]))) return known;
  const kept = known.filter((task) => !isStale(task));
  const all = kept.concat(added);
  return all.length > STREAM_COUNT_MAX ? all.slice(all.length - STREAM_COUNT_MAX) : all;
}

/** A job with its layers in the plan's order. */
export interface JobGroup {
  job: JobRow;
  layers: LayerRow[];
}

/** Jobs for the progress panel: running ones first, then the latest that ended. */
export function jobGroups(view: View): JobGroup[] {
  const groups = new Map<Key, JobGroup>();
  for (const job of view.jobs.values()) groups.set(job.k, { job, layers: [] });
  for (const layer of view.layers.values()) groups.get(layer.job)?.layers.push(layer);
  for (const group of groups.values()) group.layers.sort((a, b) => a.layer - b.layer);
  const rank = ({ job }: JobGroup) => (job.state === 'running' ? 0 : 1);
  return [...groups.values()].sort((a, b) => rank(a) - rank(b) || b.job.k - a.job.k);
}

/** Workers for the table: those that are there first, by name; then those that left, the latest first. */
export function workerRows(view: View): WorkerRow[] {
  const byName = new Intl.Collator('en', { numeric: true });
  return [...view.workers.values()].sort((a, b) => {
    const gone = Number(a.state !== 'ready') - Number(b.state !== 'ready');
    if (gone !== 0) return gone;
    return a.state === 'ready' ? byName.compare(a.name, b.name) : (b.left_us ?? 0) - (a.left_us ?? 0);
  });
}

/** Sums over the workers that are there. */
export function clusterSums(view: View) {
  const sums = { workers: 0, slots: 0, memory: 0, spilled: 0, budget: 0, fetch_rate: 0 };
  for (const worker of view.workers.values()) {
    if (worker.state !== 'ready') continue;
    sums.workers += 1;
    sums.slots += worker.slots;
    sums.memory += worker.memory;
    sums.spilled += worker.spilled;
    sums.budget += worker.budget;
    sums.fetch_rate += worker.fetch_rate;
  }
  return sums;
}

/** The job that a page about one job shows: the one that was asked for, else the latest that runs, else the latest. */
export function shownJob(view: View, asked: Key | undefined): JobRow | undefined {
  const named = asked === undefined ? undefined : view.jobs.get(asked);
  return named ?? jobGroups(view)[0]?.job;
}
