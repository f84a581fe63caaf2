import { FORMAT_VERSION, type Key } from './frame';

/** How a cell stands: the low half of its first byte, as `src/aggregate/cells.rs` has it. */
export const WAITING = 0;
export const GIVEN = 1;
export const RUNNING = 2;
export const HELD = 3;
export const RELEASED = 4;
export const FAILED_CELL = 5;
export const SPILLED_CELL = 6;
export const STATE_COUNT = 7;

/** In the first byte: an attempt before this one was lost, let go or failed. */
export const CELL_AGAIN = 0x10;
const FLAG_FORGOTTEN = 1;
const PLANE_COUNT = 5;

/** The cells of one array, by block; a plane for each byte of a cell. */
export interface ArrayCells {
  count: number;
  planes: readonly Uint8Array[];
  /** Single tasks were forgotten to make room, so the cells say less than happened. */
  isForgotten: boolean;
  /** Rises with each change. */
  version: number;
}

/** What is known of the cells of a job's arrays. Changed in place: a million cells are not copied ten times a second. */
export class CellStore {
  readonly arrays = new Map<Key, ArrayCells>();
  #seq = -1;

  /** Takes in a frame; `gap` if it is not the one that follows, so that a snapshot is needed. */
  apply(frame: Uint8Array): 'ok' | 'gap' | 'version' | 'malformed' {
    const reader = new Reader(frame);
    if (reader.byte() !== FORMAT_VERSION) return 'version';
    const isSnapshot = reader.byte() === 0;
    const seq = reader.varint();
    if (!isSnapshot && seq !== this.#seq + 1) return 'gap';
    this.#seq = seq;
    if (isSnapshot) this.arrays.clear();
    for (let left = reader.varint(); left > 0; left -= 1) this.#applyArray(reader);
    return reader.isSound() ? 'ok' : 'malformed';
  }

  #applyArray(reader: Reader): void {
    const [key, count, flags] = [reader.varint(), reader.varint(), reader.byte()];
    // As many as the server shows of a job: a longer frame is not of its making.
    if (count > 1 << 20) return reader.fail();
    let array = this.arrays.get(key);
    if (array?.count !== count) {
      const planes = Array.from({ length: PLANE_COUNT }, () => new Uint8Array(count));
      array = { count, planes, isForgotten: false, version: 0 };
    }
    array.isForgotten = (flags & FLAG_FORGOTTEN) !== 0;
    array.version += 1;
    this.arrays.set(key, array);
    const runs: { first: number; len: number }[] = [];
    let end = 0;
    for (let left = reader.varint(); left > 0 && reader.isSound(); left -= 1) {
      const first = end + reader.varint();
      const len = reader.varint();
      end = first + len;
      if (end > count) return reader.fail();
      runs.push({ first, len });
    }
    for (const plane of array.planes) reader.xorPlane(plane, runs);
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  isSound(): boolean {
    return this.#at <= this.#bytes.length;
  }

  fail(): void {
    this.#at = this.#bytes.length + 1;
  }

  byte(): number {
    const byte = this.#bytes[this.#at] ?? 0;
    this.#at += 1;
    return byte;
  }

  /** LEB128; up to 2^53, which is more than there is of anything. */
  varint(): number {
    let [value, scale] = [0, 1];
    for (;;) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80 || !this.isSound()) return value;
      scale *= 128;
    }
  }

  /** Changes the cells of all runs by the tokens of one plane. */
  xorPlane(plane: Uint8Array, runs: readonly { first: number; len: number }[]): void {
    let [left, isLiteral, byte] = [0, false, 0];
    for (const { first, len } of runs) {
      for (let at = first; at < first + len; at += 1) {
        if (left === 0) {
          const token = this.varint();
          left = Math.floor(token / 2);
          isLiteral = token % 2 === 1;
          if (left === 0 || !this.isSound()) return this.fail();
          if (!isLiteral) byte = this.byte();
        }
        left -= 1;
        plane[at] = (plane[at] ?? 0) ^ (isLiteral ? this.byte() : byte);
      }
    }
  }
}

/** The worker's key of a cell; `null` if nobody had it yet. */
export function workerOfCell(cells: ArrayCells, block: number): Key | null {
  const [, low, high] = cells.planes;
  const worker = (low?.[block] ?? 0) | ((high?.[block] ?? 0) << 8);
  return worker === 0 ? null : worker - 1;
}

/** What a step of the scale stands for: four steps to an octave, 0 for nothing. */
export function valueOfStep(step: number): number {
  return step === 0 ? 0 : 2 ** ((step - 1) / 4);
}

/** How many cells are in each state, and how many of all had to be made again. */
export function stateCounts(cells: ArrayCells): { states: number[]; again: number } {
  const states = Array.from({ length: STATE_COUNT }, () => 0);
  let again = 0;
  const plane = cells.planes[0] ?? new Uint8Array();
  for (const byte of plane) {
    const state = byte & 0x0f;
    states[state] = (states[state] ?? 0) + 1;
    if (byte & CELL_AGAIN) again += 1;
  }
  return { states, again };
}
