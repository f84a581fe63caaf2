/** A film of a run, as `src/runs/film.rs` makes it. */
import { FilmError } from './filmerror';
import type { TopicPlaces } from './filmtopics';
import { FORMAT_VERSION, type Frame, type Key, type Outline } from './frame';

export const FILM_VERSION = 3;

/** Bytes of a film that is unpacked: beyond that it is not one of ours. */
const FILM_BYTES_MAX = 1 << 30;

export interface FilmHead {
  v: number;
  format: number;
  cluster: string;
  began_unix_ms: number;
  span_us: number;
  left_out: number;
  steps_us: number[];
  /** For each step the frames that lead to it. */
  frames: Frame[][];
  plans: Outline[];
  /** Frames of arrays: step, and where it lies among the blobs. */
  arrays: { job: Key; frames: [number, number, number][] }[];
  /** Worker's key, slot, and how many tasks. */
  lanes: [Key, number, number][];
  tasks: number;
  columns_at: number;
  /** Of a layer, what each block of it reads of each input: first block and length of runs. */
  links: Record<string, [Key, [number, number][][]][]>;
  /** `null` if the run was recorded without them. */
  topics: TopicPlaces | null;
}

/** Tasks that ended, lane by lane and there by their beginnings. */
export interface FilmTasks {
  count: number;
  started: Float64Array;
  ended: Float64Array;
  fetch: Float64Array;
  layer: Float64Array;
  block: Float64Array;
  marks: Float64Array;
}

/** A lane's tasks are those from `first` to before `end`. */
export interface FilmLane {
  worker: Key;
  slot: number;
  first: number;
  end: number;
}

/** Unpacks a film. Throws a {@link FilmError} if it is none, is damaged, or of another release. */
export async function unpackFilm(packed: Uint8Array<ArrayBuffer>): Promise<{ head: FilmHead; blobs: Uint8Array }> {
  let bytes: Uint8Array;
  try {
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
    bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new FilmError('This run is damaged: it cannot be unpacked. Copy the file again.');
  }
  if (bytes.length < 4 || bytes.length > FILM_BYTES_MAX) throw new FilmError('This run is cut short. Copy the file again.');
  const len = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (len + 4 > bytes.length) throw new FilmError('This run is cut short. Copy the file again.');
  let head: FilmHead | null;
  try {
    head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + len))) as FilmHead | null;
  } catch {
    throw new FilmError('This run is damaged: its head makes no sense. Copy the file again.');
  }
  if (typeof head?.v !== 'number') throw new FilmError('This run is damaged: its head makes no sense. Copy the file again.');
  if (head.v !== FILM_VERSION || head.format !== FORMAT_VERSION) {
    throw new FilmError(`This run is of format ${head.v}.${head.format}, and this page shows ${FILM_VERSION}.${FORMAT_VERSION}. Reload the page.`);
  }
  return { head, blobs: bytes.subarray(4 + len) };
}

/** Reads the columns of tasks. */
export function readTasks(head: FilmHead, blobs: Uint8Array): { tasks: FilmTasks; lanes: FilmLane[] } {
  const count = head.tasks;
  let at = head.columns_at;
  const column = (): Float64Array => {
    const values = new Float64Array(count);
    const width = blobs[at] ?? 0;
    at += 1;
    if (width > 8 || at + width * count > blobs.length) throw new FilmError('This run is damaged: tasks are missing.');
    for (let plane = 0, scale = 1; plane < width; plane += 1, scale *= 256) {
      for (let row = 0; row < count; row += 1) values[row]! += blobs[at + row]! * scale;
      at += count;
    }
    return values;
  };
  const [started, duration, fetch, layer, block, marks] = [column(), column(), column(), column(), column(), column()];
  const lanes: FilmLane[] = [];
  let first = 0;
  for (const [worker, slot, tasks] of head.lanes) {
    lanes.push({ worker, slot, first, end: first + tasks });
    first += tasks;
  }
  if (first !== count) throw new FilmError('This run is damaged: its lanes make no sense.');
  const ended = duration;
  for (const lane of lanes) {
    let time = 0;
    for (let row = lane.first; row < lane.end; row += 1) {
      time += started[row]!;
      started[row] = time;
      ended[row] = time + duration[row]!;
    }
  }
  let before = 0;
  for (let row = 0; row < count; row += 1) {
    const coded = block[row]!;
    before += coded % 2 === 0 ? coded / 2 : -(coded + 1) / 2;
    block[row] = before;
  }
  return { tasks: { count, started, ended, fetch, layer, block, marks }, lanes };
}

/** The first position from `first` to before `end` whose value is above `value`. */
export function firstAbove(values: Float64Array, value: number, first = 0, end = values.length): number {
  let [low, high] = [first, end];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
