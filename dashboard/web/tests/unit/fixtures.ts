import { FORMAT_VERSION, type BlockStory, type DeltaFrame, type Head, type JobRow, type LayerRow, type SnapshotFrame, type WorkerRow } from '../../src/lib/frame';

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
    p50_us: 0,
    p95_us: 0,
    max_us: 0,
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
    resident: 0,
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
    v: FORMAT_VERSION,
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
  return { v: FORMAT_VERSION, kind: 'delta', seq, head: head(), ...changes };
}

function varint(value: number): number[] {
  const bytes = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return [...bytes, rest];
}

/** A frame of one array's cells, as `src/aggregate/cells.rs` writes them: some planes in runs, the others byte by byte. */
export function arrayFrame(
  kind: 'snapshot' | 'delta',
  seq: number,
  layer: number,
  cells: number[][],
  runs: [number, number][] = [[0, cells.length]],
  count = cells.length,
): Uint8Array<ArrayBuffer> {
  const out = [FORMAT_VERSION, kind === 'snapshot' ? 0 : 1, ...varint(seq), 1, ...varint(layer), ...varint(count), 0];
  out.push(...varint(runs.length));
  let end = 0;
  for (const [first, len] of runs) {
    out.push(...varint(first - end), ...varint(len));
    end = first + len;
  }
  for (let plane = 0; plane < 5 && cells.length > 0; plane += 1) {
    const bytes = cells.map((cell) => cell[plane] ?? 0);
    if (bytes.every((byte) => byte === bytes[0])) out.push(...varint(bytes.length * 2), bytes[0] ?? 0);
    else {
      out.push(...varint(bytes.length * 2 + 1));
      for (const byte of bytes) out.push(byte);
    }
  }
  return Uint8Array.from(out);
}

/** A task that waits, with what differs from that. */
export const story = (changes: Partial<BlockStory>): BlockStory => ({
  layer: 0,
  block: 0,
  extents: [],
  planned_bytes: 0,
  state: 'waiting',
  attempt: null,
  again: false,
  worker: null,
  given_us: null,
  started_us: null,
  bytes_step: 0,
  time_step: 0,
  errors: [],
  inputs: [],
  consumers: [],
  ...changes,
});
