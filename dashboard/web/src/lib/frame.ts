/** What the server sends: the shapes of `src/aggregate/frame.rs`. Rows name each other by short keys. */

export const FORMAT_VERSION = 2;

export type Key = number;

export interface Head {
  now_us: number;
  total: number;
  done: number;
  running: number;
  failed: number;
  recomputed: number;
  rate: number;
  /** Ended tasks in each of the last sixty whole seconds, oldest first. */
  pulse: number[];
  records: number;
  dropped: number;
  rejected: number;
  sampled: number;
}

export type JobState = 'running' | 'succeeded' | 'failed' | 'cancelled';

export interface JobRow {
  k: Key;
  id: string;
  name: string;
  state: JobState;
  message?: string;
  started_us: number | null;
  ended_us: number | null;
  layers: number;
  total: number;
  done: number;
}

export interface LayerRow {
  k: Key;
  job: Key;
  layer: number;
  name: string;
  origin?: string;
  total: number;
  done: number;
  running: number;
  queued: number;
  failed: number;
  errors: number;
  recomputed: number;
  restarted: number;
  chunk_bytes: number;
  bytes: number;
  rate: number;
  left_s?: number;
  busy_us: number;
  fetch_us: number;
  p50_us: number;
  p95_us: number;
  max_us: number;
  rough?: boolean;
}

export type WorkerState = 'ready' | 'retired' | 'lost';

export interface WorkerRow {
  k: Key;
  id: string;
  name: string;
  address: string;
  state: WorkerState;
  message?: string;
  joined_us: number | null;
  left_us: number | null;
  /** What it waits for, if it is about to leave. */
  retiring?: string;
  slots: number;
  budget: number;
  memory: number;
  spilled: number;
  transit: number;
  /** Bytes of its process; 0 if that is not told. */
  resident: number;
  running: number;
  queued: number;
  fetched: number;
  fetch_rate: number;
  cpu: number;
  status_us: number | null;
  done: number;
}

/** layer, block, worker, slot, started_us, attempt */
export type RunningWire = [Key, number, Key, number, number, number];

/** layer, block, worker, slot, started_us, duration_us, fetch_us, bytes, marks */
export type StreamWire = [Key, number, Key, number, number, number, number, number, number];

export interface Failure {
  layer: Key;
  block: number;
  worker: Key;
  attempt: number;
  at_us: number;
  message: string;
}

export interface SnapshotFrame {
  v: number;
  kind: 'snapshot';
  seq: number;
  cluster: string;
  head: Head;
  jobs: JobRow[];
  layers: LayerRow[];
  workers: WorkerRow[];
  running: RunningWire[];
  failures: Failure[];
  stream: StreamWire[];
}

export interface DeltaFrame {
  v: number;
  kind: 'delta';
  seq: number;
  head: Head;
  jobs?: JobRow[];
  layers?: LayerRow[];
  workers?: WorkerRow[];
  gone?: { jobs?: Key[]; layers?: Key[]; workers?: Key[] };
  running?: RunningWire[];
  failures?: Failure[];
  stream?: StreamWire[];
}

export type Frame = SnapshotFrame | DeltaFrame;

export const FAILED = 1;
export const AGAIN = 2;
export const SPILLED = 4;

/** A task on the task stream: one that ended, or one that still runs. */
export interface DrawnTask {
  layer: Key;
  block: number;
  worker: Key;
  slot: number;
  started_us: number;
  /** `null` while it runs. */
  duration_us: number | null;
  fetch_us: number;
  bytes: number;
  marks: number;
}

export function drawnFromStream(wire: StreamWire): DrawnTask {
  const [layer, block, worker, slot, started_us, duration_us, fetch_us, bytes, marks] = wire;
  return { layer, block, worker, slot, started_us, duration_us, fetch_us, bytes, marks };
}

export function drawnFromRunning(wire: RunningWire): DrawnTask {
  const [layer, block, worker, slot, started_us] = wire;
  return { layer, block, worker, slot, started_us, duration_us: null, fetch_us: 0, bytes: 0, marks: 0 };
}

/** How one axis of an array is cut. */
export interface AxisOutline {
  len: number;
  count: number;
  /** Elements of a block, the last one may be shorter; absent if blocks differ. */
  chunk?: number;
  /** Where blocks begin, and the end, if they differ and are not too many. */
  cuts?: number[];
}

/** A layer as its plan has it. */
export interface LayerOutline {
  k: Key;
  /** Slowest axis first; `null` if that was not told. */
  axes: AxisOutline[] | null;
  item_bytes: number;
  inputs: { layer: Key | null; held: boolean }[];
  output: boolean;
  kept: boolean;
}

/** How the layers of a job hang together. */
export interface Outline {
  job: Key;
  layers: LayerOutline[];
}

/** Blocks of one array that a task reads or serves. */
export interface BlockLink {
  layer: Key;
  count: number;
  done: number;
  /** First block and length of each run; the first few thousand blocks only. */
  runs: [number, number][];
}

/** What is known of one task. */
export interface BlockStory {
  layer: Key;
  block: number;
  extents: [number, number][];
  planned_bytes: number;
  state: 'waiting' | 'given' | 'running' | 'held' | 'spilled' | 'released' | 'failed';
  attempt: number | null;
  again: boolean;
  worker: Key | null;
  given_us: number | null;
  started_us: number | null;
  bytes_step: number;
  time_step: number;
  errors: [number, string][];
  inputs: BlockLink[];
  consumers: BlockLink[];
}
