/**
 * What a film tells of workers, memory and scaling. What workers reported is in the frames of its steps, and what was held and
 * how workers came and went beside them: from these the answers of the server are put together, for any time of the run.
 */
import type { Direction, Holder, HolderName, LifeEvent, LoadWire, MemoryTold, OperationMemory, RosterOrder, RosterTold, ScalingTold, WorkerMemory, WorkerTold } from './askworkers';
import type { Key, WorkerRow } from './frame';
import { clusterSums, type View } from './view';

/** Limits of the server's answers. */
const ROSTER_ROW_COUNT_MAX = 200;
const MEMORY_WORKER_COUNT_MAX = 24;
const MEMORY_OPERATION_COUNT_MAX = 16;
const HOLDER_COUNT_MAX = 64;
const WORKERS_OF_HOLDER_MAX = 8;
const HELD_OF_WORKER_MAX = 64;
const RUNNING_OF_WORKER_MAX = 128;

/** How far back each level of a history reaches, as on the server. */
const SPANS_US = [90_000_000, 900_000_000, 10_800_000_000];

/** Layer, who made them, chunks, bytes, chunks that went to disk: as `src/aggregate/filmed.rs` writes it. */
export type HeldWire = [Key, Key | null, number, number, number];

/** How workers came and went, and what happened to each. */
export interface FilmScaling {
  story: ScalingTold;
  events: [Key, LifeEvent[]][];
}

/** A film up to the time that is shown. */
export interface Shown {
  /** The tables at that time. */
  view: View;
  at_us: number;
  /** The steps until then: when they are, how the tables were, and what was held. */
  steps: { at_us: number; view: View; held: readonly HeldWire[] }[];
  /** How long a step is, in whole microseconds. */
  step_us: number;
  names: readonly HolderName[];
  scaling: FilmScaling | null;
}

const standing = (row: WorkerRow) => (row.state === 'lost' ? 3 : row.state === 'retired' ? 2 : row.retiring ? 1 : 0);
const share = (part: number, whole: number) => part / Math.max(1, whole);
const collator = new Intl.Collator('en', { numeric: true });

const ORDERS: Record<RosterOrder, (one: WorkerRow, other: WorkerRow) => number> = {
  name: (one, other) => collator.compare(one.name, other.name),
  state: (one, other) => standing(one) - standing(other),
  busy: (one, other) => share(one.running, one.slots) - share(other.running, other.slots),
  managed: (one, other) => share(one.memory, one.budget) - share(other.memory, other.budget),
  other: (one, other) => Math.max(0, one.resident - one.memory - one.transit) - Math.max(0, other.resident - other.memory - other.transit),
  spilled: (one, other) => one.spilled - other.spilled,
  transit: (one, other) => one.transit - other.transit,
  done: (one, other) => one.done - other.done,
  rate: (one, other) => one.fetch_rate - other.fetch_rate,
  seen: (one, other) => (one.status_us ?? -1) - (other.status_us ?? -1),
};

/** A part of the table of all workers; those that are gone come last in any order. */
export function filmRoster({ view, at_us }: Shown, order: RosterOrder, direction: Direction, from: number): RosterTold {
  const rows = [...view.workers.values()];
  const sign = direction === 'up' ? 1 : -1;
  const isGone = (row: WorkerRow) => Number(row.state !== 'ready');
  rows.sort((one, other) => isGone(one) - isGone(other) || sign * ORDERS[order](one, other) || one.k - other.k);
  const number = (of: number) => rows.filter((row) => standing(row) === of).length;
  const there = rows.filter((row) => row.state === 'ready');
  return {
    now_us: at_us,
    total: rows.length,
    forgotten: 0,
    ready: number(0),
    retiring: number(1),
    retired: number(2),
    lost: number(3),
    sums: { ...clusterSums(view), transit: there.reduce((sum, row) => sum + row.transit, 0) },
    busy: there.reduce((sum, row) => sum + row.running, 0),
    from: Math.min(from, rows.length),
    rows: rows.slice(from, from + ROSTER_ROW_COUNT_MAX),
  };
}

/** The steps within reach of a level. */
function within({ steps, at_us }: Shown, level: number) {
  const first_us = at_us - (SPANS_US[level] ?? SPANS_US.at(-1)!);
  return steps.filter((step) => step.at_us >= first_us);
}

function loadOf(at_us: number, row: WorkerRow): LoadWire {
  const other = row.resident > 0 ? Math.max(0, row.resident - row.memory - row.transit) : 0;
  return [at_us, row.memory, other, row.spilled, row.transit];
}

/** How loaded a worker was at each of some steps, from its first report until it left. */
function loadsOf(steps: Shown['steps'], worker: Key): LoadWire[] {
  return steps.flatMap(({ at_us, view }) => {
    const row = view.workers.get(worker);
    return row && row.state === 'ready' && row.status_us !== null ? [loadOf(at_us, row)] : [];
  });
}

/** Who holds what, the most bytes first. */
function holdersOf({ view, names }: Shown, held: readonly HeldWire[]): Holder[] {
  const byLayer = new Map<Key, HeldWire[]>();
  for (const row of held) byLayer.set(row[0], [...(byLayer.get(row[0]) ?? []), row]);
  const sum = (rows: readonly HeldWire[], at: 2 | 3 | 4) => rows.reduce((all, row) => all + row[at], 0);
  const holders = names.flatMap((of): Holder[] => {
    const rows = byLayer.get(of.layer);
    if (!rows) return [];
    const workers = rows.toSorted((a, b) => b[3] - a[3]).slice(0, WORKERS_OF_HOLDER_MAX);
    return [
      {
        ...of,
        chunks: sum(rows, 2),
        bytes: sum(rows, 3),
        spilled: sum(rows, 4),
        total: view.layers.get(of.layer)?.total ?? 0,
        workers: workers.map(([, worker, chunks, bytes]) => [worker, chunks, bytes]),
        worker_count: rows.length,
        is_running: view.jobs.get(of.job)?.state === 'running',
      },
    ];
  });
  return holders.sort((a, b) => b.bytes - a.bytes || a.layer - b.layer);
}

/** Bytes that operations held at each of some steps, those that held most first. */
function operationsOf(steps: Shown['steps'], step_us: number, names: readonly HolderName[]): OperationMemory[] {
  const nameOf = new Map(names.map((it) => [it.layer, it.name]));
  const series = new Map<string, [number, number][]>();
  for (const { at_us: told_us, held } of steps) {
    // In even steps, which the picture is drawn in.
    const at_us = Math.round(told_us / step_us) * step_us;
    for (const [layer, , , bytes] of held) {
      const name = nameOf.get(layer);
      if (name === undefined) continue;
      const points = series.get(name) ?? [];
      const last = points.at(-1);
      if (last?.[0] === at_us) last[1] += bytes;
      else points.push([at_us, bytes]);
      series.set(name, points);
    }
  }
  const most = (it: OperationMemory) => it.points.reduce((all, [, bytes]) => Math.max(all, bytes), 0);
  // What is held no more is known not to be.
  const last_us = Math.round((steps.at(-1)?.at_us ?? 0) / step_us) * step_us;
  for (const points of series.values()) if (points.at(-1)![0] < last_us) points.push([last_us, 0]);
  const told = [...series].map(([name, points]) => ({ name, points }));
  return told.sort((a, b) => most(b) - most(a)).slice(0, MEMORY_OPERATION_COUNT_MAX);
}

/** Who holds what, by worker and by operation over time. */
export function filmMemory(shown: Shown, level: number): MemoryTold {
  const { view, at_us } = shown;
  const steps = within(shown, level);
  const loads: LoadWire[] = [];
  const limits: number[] = [];
  for (const step of steps) {
    const there = [...step.view.workers.values()].filter((row) => row.state === 'ready' && row.status_us !== null);
    if (there.length === 0) continue;
    const sum = there.map((row) => loadOf(step.at_us, row)).reduce((all, load) => [step.at_us, all[1] + load[1], all[2] + load[2], all[3] + load[3], all[4] + load[4]]);
    loads.push(sum);
    limits.push(there.reduce((all, row) => all + row.budget, 0));
  }
  const workers = [...view.workers.values()].flatMap((row): WorkerMemory[] => {
    const of = loadsOf(steps, row.k);
    return of.length > 0 ? [{ k: row.k, name: row.name, state: row.state, budget: row.budget, loads: of }] : [];
  });
  const fill = (it: WorkerMemory) => (it.loads.at(-1)?.[1] ?? 0) + (it.loads.at(-1)?.[3] ?? 0);
  workers.sort((a, b) => Number(a.state !== 'ready') - Number(b.state !== 'ready') || fill(b) - fill(a) || a.k - b.k);
  const holders = holdersOf(shown, shown.steps.at(-1)?.held ?? []);
  const held = holders.reduce((all, it) => all + it.bytes, 0);
  const sums = clusterSums(view);
  return {
    now_us: at_us,
    bucket_us: shown.step_us,
    budget: sums.budget,
    loads,
    limits,
    workers: workers.slice(0, MEMORY_WORKER_COUNT_MAX),
    workers_left_out: Math.max(0, workers.length - MEMORY_WORKER_COUNT_MAX),
    operations: operationsOf(steps, shown.step_us, shown.names),
    holders: holders.slice(0, HOLDER_COUNT_MAX),
    holders_left_out: Math.max(0, holders.length - HOLDER_COUNT_MAX),
    held,
    copies: Math.max(0, sums.memory + sums.spilled - held),
  };
}

/** All of one worker; `null` if it is not known at that time. */
export function filmWorker(shown: Shown, worker: Key, level: number): WorkerTold | null {
  const { view, at_us, names } = shown;
  const row = view.workers.get(worker);
  if (!row) return null;
  const nameOf = new Map(names.map((it) => [it.layer, it]));
  const held = (shown.steps.at(-1)?.held ?? []).flatMap(([layer, of, chunks, bytes, spilled]) => {
    const name = nameOf.get(layer);
    return of === worker && name ? [{ ...name, chunks, bytes, spilled }] : [];
  });
  const failures = view.failures.filter((it) => it.worker === worker && it.at_us <= at_us);
  const running = view.running.filter((it) => it.worker === worker).slice(0, RUNNING_OF_WORKER_MAX);
  return {
    now_us: at_us,
    row,
    errors: failures.length,
    bucket_us: shown.step_us,
    loads: loadsOf(within(shown, level), worker),
    running: running.map((it) => [it.layer, it.block, it.worker, it.slot, it.started_us, 0]),
    held: held.slice(0, HELD_OF_WORKER_MAX),
    failures: failures.toReversed(),
    disk_waiting: 0,
    life: shown.scaling?.events.find(([key]) => key === worker)?.[1] ?? [],
  };
}
