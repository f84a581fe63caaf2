import {
  CELL_AGAIN,
  FAILED_CELL,
  GIVEN,
  HELD,
  RELEASED,
  RUNNING,
  SPILLED_CELL,
  STATE_COUNT,
  valueOfStep,
  WAITING,
  type ArrayCells,
} from './cells';
import { PALETTE, type Theme } from './colours';
import { gridPlace, type Sheet } from './sheet';

/** What a cell's colour says. Its shape always says the state. */
export type Aspect = 'state' | 'worker' | 'bytes' | 'time';

/** The colours of the page that cells are drawn with. */
export interface CellTokens {
  sheet: string;
  track: string;
  line2: string;
  ink2: string;
  accent: string;
  alarm: string;
  notice: string;
}

/** `#rrggbb` as a pixel of an `ImageData`, which has the red in its lowest byte. */
export function pixel(colour: string): number {
  const rgb = Number.parseInt(colour.slice(1, 7), 16);
  return (0xff000000 | ((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
}

/** Part of the way from one pixel to another. */
export function mixed(from: number, to: number, part: number): number {
  let result = 0xff000000;
  for (const shift of [0, 8, 16]) {
    const [a, b] = [(from >> shift) & 0xff, (to >> shift) & 0xff];
    result |= Math.round(a + (b - a) * part) << shift;
  }
  return result >>> 0;
}

/** Colours of states: one each, so that a cell of a pixel has one too. */
export function stateColours(tokens: CellTokens, theme: Theme): Uint32Array {
  const [sheet, track] = [pixel(tokens.sheet), pixel(tokens.track)];
  const colours = new Uint32Array(STATE_COUNT);
  const accent = pixel(tokens.accent);
  colours[WAITING] = track;
  colours[GIVEN] = mixed(track, pixel(tokens.ink2), 0.45);
  colours[RUNNING] = pixel(PALETTE[1]?.[theme] ?? '#bf7c0c');
  colours[HELD] = accent;
  colours[SPILLED_CELL] = pixel(PALETTE[3]?.[theme] ?? '#897dd9');
  colours[RELEASED] = mixed(sheet, accent, 0.5);
  colours[FAILED_CELL] = pixel(tokens.alarm);
  return colours;
}

/** The part of a ramp that a step of bytes or time has. */
export interface Range {
  least: number;
  most: number;
}

/** The least and the most of what is known on a plane. */
export function rangeOf(plane: Uint8Array): Range {
  let [least, most] = [255, 0];
  for (const step of plane) {
    if (step === 0) continue;
    if (step < least) least = step;
    if (step > most) most = step;
  }
  return least > most ? { least: 0, most: 0 } : { least, most };
}

export const rangeText = (range: Range, text: (value: number) => string): [string, string] => [
  text(valueOfStep(range.least)),
  text(valueOfStep(range.most)),
];

/** A ramp from quiet to loud, equal steps to the eye in both themes. */
export function ramp(tokens: CellTokens, theme: Theme, range: Range): Uint32Array {
  const stops =
    theme === 'dark'
      ? ['#1d3a4a', '#2f6f86', '#5cb8c4', '#c9e8c0', '#fff3b8']
      : ['#d8e6d2', '#8fc0b4', '#4a99a8', '#286ea4', '#3a2a6b'];
  const colours = new Uint32Array(256).fill(pixel(tokens.track));
  const span = Math.max(1, range.most - range.least);
  for (let step = Math.max(1, range.least); step <= range.most; step += 1) {
    const at = ((step - range.least) / span) * (stops.length - 1);
    const first = Math.min(Math.floor(at), stops.length - 2);
    colours[step] = mixed(pixel(stops[first] ?? '#000000'), pixel(stops[first + 1] ?? '#000000'), at - first);
  }
  return colours;
}

/** What the pixels of a cell are: ground, fill, paper drawn on it, or a note's colour. */
const GROUND = 0;
const FILL = 1;
const PAPER = 2;
const NOTE = 3;

/** The shape of a state, `size` pixels wide and high. Below four pixels there is no room for one. */
export function shapeOf(state: number, isAgain: boolean, size: number): Uint8Array {
  const shape = new Uint8Array(size * size).fill(FILL);
  if (size < 4) return shape;
  const last = size - 1;
  const thick = size >= 12 ? 2 : 1;
  const each = (mark: (x: number, y: number) => number | null) => {
    for (let y = 0; y < size; y += 1) {
      for (let x = 0; x < size; x += 1) {
        const value = mark(x, y);
        if (value !== null) shape[y * size + x] = value;
      }
    }
  };
  const edge = (x: number, y: number) => Math.min(x, y, last - x, last - y);
  if (state === GIVEN) {
    // A frame that waits to be filled, with a dot in it.
    const middle = last / 2;
    const radius = Math.max(0.8, size / 6);
    each((x, y) =>
      edge(x, y) < thick || Math.hypot(x - middle, y - middle) <= radius ? FILL : GROUND,
    );
  } else if (state === RUNNING) {
    const pitch = Math.max(4, Math.round(size / 2.5));
    each((x, y) => ((x + y) % pitch < pitch / 2 || edge(x, y) < 1 ? FILL : PAPER));
  } else if (state === SPILLED_CELL) {
    const bar = Math.max(1, Math.round(size / 8));
    each((_, y) => (y >= size / 2 && Math.floor((last - y) / bar) % 2 === 1 ? PAPER : FILL));
  } else if (state === RELEASED) {
    each((x, y) => (edge(x, y) < thick ? FILL : GROUND));
  } else if (state === FAILED_CELL) {
    const inset = Math.max(1, Math.round(size / 5));
    each((x, y) =>
      edge(x, y) >= inset && (Math.abs(x - y) < thick || Math.abs(x + y - last) < thick) ? PAPER : FILL,
    );
  }
  if (isAgain) {
    const corner = Math.max(2, Math.round(size / 2.4));
    const mark = state === WAITING || state === RELEASED || state === GIVEN ? NOTE : PAPER;
    each((x, y) => (x + y < corner ? mark : null));
  }
  return shape;
}

/** All that a picture of cells needs beside the cells. */
export interface CellLook {
  aspect: Aspect;
  theme: Theme;
  tokens: CellTokens;
  /** The colour that a worker's key has. */
  workerColour: (worker: number) => string;
  /** Bytes or time that the ramp goes over. */
  range: Range;
}

/** Fills a cell of a pixel where several share it: what needs to be seen first. */
const URGENCY = Uint8Array.of(1, 4, 6, 3, 2, 7, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0);

/** Pixels of a sheet at `ratio` device pixels to a CSS pixel. */
export interface Picture {
  width: number;
  height: number;
  pixels: Uint32Array<ArrayBuffer>;
}

export function pictureFor(sheet: Sheet, ratio: number, reuse: Picture | null): Picture {
  const [width, height] = [Math.max(1, Math.round(sheet.width * ratio)), Math.max(1, Math.round(sheet.height * ratio))];
  if (reuse?.width === width && reuse.height === height) return reuse;
  return { width, height, pixels: new Uint32Array(width * height) };
}

/** Paints all cells of a sheet. */
export function paintCells(picture: Picture, sheet: Sheet, cells: ArrayCells, look: CellLook, ratio: number): void {
  picture.pixels.fill(0);
  const inks = inksOf(cells, look);
  const size = sheet.cell * ratio;
  if (size >= 1.5) paintLarge(picture, sheet, cells, look, inks, ratio);
  else paintSmall(picture, sheet, cells, inks, ratio);
}

type InkOf = (block: number, state: number) => number;

function inksOf(cells: ArrayCells, { aspect, theme, tokens, workerColour, range }: CellLook): InkOf {
  const states = stateColours(tokens, theme);
  const [, low, high, bytes, time] = cells.planes;
  const hasResult = (state: number) => state === HELD || state === SPILLED_CELL || state === RELEASED;
  if (aspect === 'worker') {
    const colours = new Map<number, number>();
    return (block, state) => {
      const worker = (low?.[block] ?? 0) | ((high?.[block] ?? 0) << 8);
      if (worker === 0 || state === WAITING || state === FAILED_CELL) return states[state] ?? 0;
      let colour = colours.get(worker);
      if (colour === undefined) {
        colour = pixel(workerColour(worker - 1));
        colours.set(worker, colour);
      }
      return colour;
    };
  }
  if (aspect === 'bytes' || aspect === 'time') {
    const plane = aspect === 'bytes' ? bytes : time;
    const colours = ramp(tokens, theme, range);
    return (block, state) => (hasResult(state) ? colours[plane?.[block] ?? 0] : states[state]) ?? 0;
  }
  return (_, state) => states[state] ?? 0;
}

function paintLarge(
  picture: Picture,
  sheet: Sheet,
  cells: ArrayCells,
  { tokens }: CellLook,
  inkOf: InkOf,
  ratio: number,
): void {
  const { pixels, width } = picture;
  const whole = Math.round(sheet.cell * ratio);
  const size = whole >= 4 ? whole - Math.max(1, Math.round(ratio)) : whole;
  const [paper, note] = [pixel(tokens.sheet), pixel(tokens.notice)];
  const shapes = new Map<number, Uint8Array>();
  const states = cells.planes[0] ?? new Uint8Array();
  for (const [grid, origin] of sheet.origins.entries()) {
    const place = gridPlace(sheet, grid);
    const [left, top] = [Math.round(place.x * ratio), Math.round(place.y * ratio)];
    for (let row = 0; row < sheet.rows; row += 1) {
      for (let column = 0; column < sheet.columns; column += 1) {
        const block = origin + row * sheet.rowStride + column * sheet.columnStride;
        if (block >= cells.count) break;
        const byte = states[block] ?? 0;
        const state = byte & 0x0f;
        let shape = shapes.get(byte);
        if (!shape) {
          shape = shapeOf(state, (byte & CELL_AGAIN) !== 0, size);
          shapes.set(byte, shape);
        }
        const ink = inkOf(block, state);
        let at = (top + row * whole) * width + left + column * whole;
        let from = 0;
        for (let y = 0; y < size; y += 1) {
          for (let x = 0; x < size; x += 1) {
            const kind = shape[from];
            from += 1;
            if (kind === FILL) pixels[at + x] = ink;
            else if (kind === PAPER) pixels[at + x] = paper;
            else if (kind === NOTE) pixels[at + x] = note;
          }
          at += width;
        }
      }
    }
  }
}

/** Cells of a pixel or less: of those that share one, the most urgent is drawn. */
function paintSmall(picture: Picture, sheet: Sheet, cells: ArrayCells, inkOf: InkOf, ratio: number): void {
  const { pixels, width, height } = picture;
  const states = cells.planes[0] ?? new Uint8Array();
  const size = sheet.cell * ratio;
  // The most urgent cell of each pixel, and how urgent that is; inks are chosen once a pixel.
  const urgency = new Uint8Array(pixels.length);
  const shown = new Uint32Array(pixels.length);
  const xs = Uint32Array.from({ length: sheet.columns }, (_, column) => Math.floor(column * size));
  const { rows, columns, rowStride, columnStride } = sheet;
  for (const [grid, origin] of sheet.origins.entries()) {
    const place = gridPlace(sheet, grid);
    const [left, top] = [Math.floor(place.x * ratio), Math.floor(place.y * ratio)];
    for (let row = 0; row < rows; row += 1) {
      const line = Math.min(top + Math.floor(row * size), height - 1) * width;
      const last = width - 1;
      let block = origin + row * rowStride;
      for (let column = 0; column < columns && block < cells.count; column += 1, block += columnStride) {
        const urgent = URGENCY[(states[block] as number) & 0x0f] as number;
        const x = left + (xs[column] as number);
        const at = line + (x < last ? x : last);
        if (urgent <= (urgency[at] as number)) continue;
        urgency[at] = urgent;
        shown[at] = block;
      }
    }
  }
  for (let at = 0; at < pixels.length; at += 1) {
    if (urgency[at] === 0) continue;
    const block = shown[at] as number;
    pixels[at] = inkOf(block, (states[block] as number) & 0x0f);
  }
}
