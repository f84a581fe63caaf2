import { FORMAT_VERSION, type Key } from './frame';

/** As `src/aggregate/tiles.rs` has them. */
export const TILE_BUCKETS = 256;
export const TILE_BASE_US = 1_024;
export const TILE_LEVEL_MAX = 26;

/** Buckets of one lane. */
export interface TileLane {
  worker: Key;
  slot: number;
  /** For each bucket the layer that took most of it, plus one; 0 if nothing ran. */
  layers: Uint32Array;
  /** The busy part, from 0 to 15. */
  busy: Uint8Array;
}

export interface Tile {
  level: number;
  index: number;
  /** It will not change any more. */
  isSettled: boolean;
  lanes: ReadonlyMap<string, TileLane>;
  asked_ms: number;
}

export const laneName = (worker: Key, slot: number) => `${worker}/${slot}`;
export const tileSpan = (level: number) => TILE_BASE_US * 2 ** level * TILE_BUCKETS;

/** The level whose buckets are as wide as a pixel, or a little less. */
export function levelFor(usPerPixel: number): number {
  const level = Math.floor(Math.log2(Math.max(1, usPerPixel / TILE_BASE_US)));
  return Math.max(0, Math.min(TILE_LEVEL_MAX, level));
}

/** `null` if these are not the bytes of a tile. */
export function decodeTile(bytes: Uint8Array, level: number, index: number, asked_ms: number): Tile | null {
  let at = 0;
  const byte = () => bytes[at++] ?? 0;
  const varint = () => {
    let [value, scale] = [0, 1];
    for (;;) {
      const part = byte();
      value += (part & 0x7f) * scale;
      if (part < 0x80 || at > bytes.length) return value;
      scale *= 128;
    }
  };
  if (byte() !== FORMAT_VERSION) return null;
  const isSettled = (byte() & 1) === 1;
  const lanes = new Map<string, TileLane>();
  for (let left = varint(); left > 0 && at <= bytes.length; left -= 1) {
    const [worker, slot] = [varint(), varint()];
    const lane = { worker, slot, layers: new Uint32Array(TILE_BUCKETS), busy: new Uint8Array(TILE_BUCKETS) };
    let from = 0;
    for (let runs = varint(); runs > 0 && from < TILE_BUCKETS; runs -= 1) {
      const to = from + varint();
      const layer = varint();
      lane.layers.fill(layer, from, to);
      lane.busy.fill(byte(), from, to);
      from = to;
    }
    lanes.set(laneName(worker, slot), lane);
  }
  return at === bytes.length ? { level, index, isSettled, lanes, asked_ms } : null;
}

/** Tiles that are kept; those asked for longest ago go first. */
const KEPT_COUNT_MAX = 400;
/** Requests under way at a time. */
const ASKED_COUNT_MAX = 6;
/** A tile that may still change is asked for anew after this, or after the time of half a bucket. */
const FRESH_MS = 700;

/** The tiles that a page has, and asks for. */
export class TileStore {
  readonly #tiles = new Map<string, Tile>();
  readonly #asked = new Set<string>();
  readonly #ontile: () => void;
  readonly #get: (path: string) => Promise<Uint8Array | null>;

  constructor(ontile: () => void, get: (path: string) => Promise<Uint8Array | null>) {
    this.#ontile = ontile;
    this.#get = get;
  }

  /** The tile, or what there is of its time at another level while it is asked for. */
  find(level: number, index: number): Tile | null {
    return this.#tiles.get(`${level}/${index}`) ?? null;
  }

  /** Asks for the tiles of a span of time that are not there, or not fresh. */
  want(level: number, from_us: number, to_us: number, now_ms: number): void {
    const span = tileSpan(level);
    const fresh_ms = Math.max(FRESH_MS, (TILE_BASE_US * 2 ** level) / 2_000);
    const last = Math.floor(Math.max(from_us, to_us) / span);
    // The newest first: there things move.
    for (let index = last; index >= Math.max(0, Math.floor(from_us / span)); index -= 1) {
      if (this.#asked.size >= ASKED_COUNT_MAX) return;
      const name = `${level}/${index}`;
      const known = this.#tiles.get(name);
      const isStale = !known || (!known.isSettled && now_ms - known.asked_ms > fresh_ms);
      if (isStale && !this.#asked.has(name)) void this.#ask(name, level, index, now_ms);
    }
  }

  async #ask(name: string, level: number, index: number, now_ms: number): Promise<void> {
    this.#asked.add(name);
    const bytes = await this.#get(`api/timeline/tiles/${name}`);
    this.#asked.delete(name);
    const tile = bytes && decodeTile(bytes, level, index, now_ms);
    if (!tile) return;
    this.#tiles.delete(name);
    this.#tiles.set(name, tile);
    for (const oldest of this.#tiles.keys()) {
      if (this.#tiles.size <= KEPT_COUNT_MAX) break;
      this.#tiles.delete(oldest);
    }
    this.#ontile();
  }

  /** What a lane did at a time: the layer plus one, and how busy it was; from the finest level that is there. */
  at(level: number, lane: string, at_us: number): { layer: number; busy: number } | null {
    for (const step of [0, 1, 2, 3, -1, -2, 4, 5, 6]) {
      const near = level + step;
      if (near < 0 || near > TILE_LEVEL_MAX) continue;
      const span = tileSpan(near);
      const index = Math.floor(at_us / span);
      const tile = this.#tiles.get(`${near}/${index}`);
      if (!tile) continue;
      const of = tile.lanes.get(lane);
      if (!of) return null;
      const bucket = Math.min(TILE_BUCKETS - 1, Math.floor(((at_us - index * span) / span) * TILE_BUCKETS));
      return { layer: of.layers[bucket] ?? 0, busy: of.busy[bucket] ?? 0 };
    }
    return null;
  }
}
