import type { DeltaFrame, Head, JobRow, LayerRow, SnapshotFrame, WorkerRow } from '../../src/lib/frame';

export function head(changes: Partial<Head> = {}): Head {
  return {
    now_us: 30_000_000,
    total: 10,
    done: 0,
    running: 0,
    failed: 0,
    recomputed: 0,
    rate: 0,
    pulse: [],
    records: 0,
    dropped: 0,
    rejected: 0,
    sampled: 0,
    ...changes,
  };
}

export function job(k: number, changes: Partial<JobRow> = {}): JobRow {
  return {
    k,
    id: String(k),
    name: `job ${k}`,
    state: 'running',
    started_us: 0,
    ended_us: null,
    layers: 1,
    total: 10,
    done: 0,
    ...changes,
  };
}

export function layer(k: number, changes: Partial<LayerRow> = {}): LayerRow {
  return {
    k,
    job: 0,
    layer: k,
    name: `layer-${k}`,
    total: 10,
    done: 0,
    running: 0,
    queued: 0,
    failed: 0,
    errors: 0,
    recomputed: 0,
    restarted: 0,
    chunk_bytes: 8,
    bytes: 0,
    rate: 0,
    busy_us: 0,
    fetch_us: 0,
    ...changes,
  };
}

export function worker(k: number, changes: Partial<WorkerRow> = {}): WorkerRow {
  return {
    k,
    id: String(k),
    name: `worker-${k}`,
    address: `127.0.0.1:${k}`,
    state: 'ready',
    joined_us: 0,
    left_us: null,
    slots: 2,
    budget: 100,
    memory: 0,
    spilled: 0,
    transit: 0,
    running: 0,
    queued: 0,
    fetched: 0,
    fetch_rate: 0,
    cpu: 0,
    status_us: 30_000_000,
    done: 0,
    ...changes,
  };
}

export function snapshot(changes: Partial<SnapshotFrame> = {}): SnapshotFrame {
  return {
    v: 1,
    kind: 'snapshot',
    seq: 5,
    cluster: 'test',
    head: head(),
    jobs: [],
    layers: [],
    workers: [],
    running: [],
    failures: [],
    stream: [],
    ...changes,
  };
}

export function delta(seq: number, changes: Partial<DeltaFrame> = {}): DeltaFrame {
  return { v: 1, kind: 'delta', seq, head: head(), ...changes };
}
