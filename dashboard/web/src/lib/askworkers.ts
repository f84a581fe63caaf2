/** What the server tells of workers, memory and scaling: the shapes of `src/aggregate/roster.rs` and its neighbours. */

import { ask } from './ask';
import type { Failure, Key, RunningWire, WorkerRow, WorkerState } from './frame';
import { playing } from './playing';

/** By what workers are sorted: the words of `RosterOrder`. */
export type RosterOrder = 'name' | 'state' | 'busy' | 'managed' | 'other' | 'spilled' | 'transit' | 'done' | 'rate' | 'seen';

export type Direction = 'up' | 'down';

export interface RosterTold {
  now_us: number;
  total: number;
  forgotten: number;
  ready: number;
  retiring: number;
  retired: number;
  lost: number;
  sums: { workers: number; slots: number; budget: number; memory: number; spilled: number; transit: number; fetch_rate: number };
  busy: number;
  from: number;
  rows: WorkerRow[];
}

/** Where the bucket begins; chunks in memory, other memory, chunks on disk, what is set aside: bytes. */
export type LoadWire = [number, number, number, number, number];

export type LifeState = 'starting' | 'ready' | 'retiring' | 'retired' | 'lost' | 'failed';

export interface LifeEvent {
  at_us: number;
  kind: 'wanted' | 'starting' | 'joined' | 'retiring' | 'stays' | 'retired' | 'lost';
  text: string | null;
  reason: string | null;
}

export interface HolderName {
  layer: Key;
  job: Key;
  job_name: string;
  name: string;
  origin: string | null;
  /** Whether somebody asked for it. */
  is_output: boolean;
  kept_as: string[];
}

export interface HeldOfWorker extends HolderName {
  chunks: number;
  bytes: number;
  spilled: number;
}

export interface WorkerTold {
  now_us: number;
  row: WorkerRow;
  errors: number;
  bucket_us: number;
  loads: LoadWire[];
  running: RunningWire[];
  held: HeldOfWorker[];
  failures: Failure[];
  /** Chunks that went to its disk, or left it, of which it has had no room to tell. */
  disk_waiting: number;
  life: LifeEvent[];
}

export interface Holder extends HeldOfWorker {
  total: number;
  /** Who made them, their number and bytes. */
  workers: [Key | null, number, number][];
  worker_count: number;
  is_running: boolean;
}

export interface WorkerMemory {
  k: Key;
  name: string;
  state: WorkerState;
  budget: number;
  loads: LoadWire[];
}

export interface OperationMemory {
  name: string;
  points: [number, number][];
}

export interface MemoryTold {
  now_us: number;
  bucket_us: number;
  budget: number;
  loads: LoadWire[];
  /** Of the workers that were there in each of these buckets. */
  limits: number[];
  workers: WorkerMemory[];
  workers_left_out: number;
  operations: OperationMemory[];
  holders: Holder[];
  holders_left_out: number;
  held: number;
  copies: number;
}

export interface Decision {
  at_us: number;
  wanted: number;
  min: number;
  max: number;
  start: number;
  stay: number;
  retire: number;
  reason: string;
}

export interface WorkerLife {
  k: Key | null;
  name: string;
  state: LifeState;
  wanted_us: number | null;
  starting_us: number | null;
  joined_us: number | null;
  retiring_us: number | null;
  ended_us: number | null;
  why: string | null;
}

export interface ScalingTold {
  now_us: number;
  decisions: Decision[];
  latest: Decision | null;
  lives: WorkerLife[];
  left_out: number;
  counts: [number, number][];
}

export async function askRoster(order: RosterOrder, direction: Direction, from: number): Promise<RosterTold | null> {
  const film = playing();
  return film ? film.roster(order, direction, from) : ask<RosterTold>(`api/workers/${order}/${direction}/${from}`);
}

export async function askWorker(worker: Key, level: number): Promise<WorkerTold | null> {
  const film = playing();
  return film ? film.worker(worker, level) : ask<WorkerTold>(`api/worker/${worker}/${level}`);
}

export async function askMemory(level: number): Promise<MemoryTold | null> {
  const film = playing();
  return film ? film.memory(level) : ask<MemoryTold>(`api/memory/${level}`);
}

export async function askScaling(): Promise<ScalingTold | null> {
  const film = playing();
  return film ? film.scaling() : ask<ScalingTold>('api/scaling');
}
