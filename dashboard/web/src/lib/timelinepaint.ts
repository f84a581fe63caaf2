import { mixed, pixel } from './cellpaint';
import { FAILED, type DrawnTask, type Key, type WorkerRow } from './frame';
import { paintMoves, type MoveScene } from './movetracks';
import { laneName, TILE_BASE_US, TILE_BUCKETS, TILE_LEVEL_MAX, tileSpan, type Tile, type TileStore } from './tiles';
import { rulerTimes, timeText, type Viewport } from './viewport';

/** A slot of a worker, from top to bottom. */
export interface Lane {
  worker: WorkerRow;
  slot: number;
  y: number;
}

export interface TimelineTokens {
  ground: string;
  sheet: string;
  ink: string;
  ink2: string;
  ink3: string;
  line: string;
  line2: string;
  alarm: string;
  accent: string;
  notice: string;
  sans: string;
}

export interface TimelineScene extends MoveScene {
  viewport: Viewport;
  lanes: readonly Lane[];
  laneHeight: number;
  left: number;
  width: number;
  height: number;
  now_us: number;
  level: number;
  store: TileStore;
  /** Single tasks, if they are few enough; else tiles are drawn. */
  tasks: readonly DrawnTask[] | null;
  running: readonly DrawnTask[];
  colourOf: (layer: Key) => string;
  /** A run is replayed: its time is marked. */
  isReplay: boolean;
  box: { from_us: number; to_us: number; first: number; last: number } | null;
  tokens: TimelineTokens;
}

export const RULER = 26;

/** Paints the timeline; `pixels` is the memory of the last picture. Returns the memory of this one. */
export function paintTimeline(context: CanvasRenderingContext2D, scene: TimelineScene, ratio: number, pixels: ImageData | null): ImageData | null {
  const { left, width, height, tokens, lanes, laneHeight } = scene;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.fillStyle = tokens.ground;
  for (const lane of lanes) context.fillRect(left, lane.y, width - left, laneHeight);
  paintGrid(context, scene);
  let memory = pixels;
  if (scene.tasks === null) memory = paintTiles(context, scene, ratio, pixels);
  context.save();
  context.beginPath();
  context.rect(left, 0, width - left, height);
  context.clip();
  if (scene.tasks !== null) paintTasks(context, scene, scene.tasks.filter((task) => task.started_us + (task.duration_us ?? 0) <= scene.now_us));
  paintRunning(context, scene);
  paintMoves(context, scene, (at_us) => xAt(scene, at_us));
  paintBox(context, scene);
  if (scene.isReplay) paintNow(context, scene);
  context.restore();
  paintNames(context, scene);
  return memory;
}

export const xAt = ({ viewport, left, width }: TimelineScene, at_us: number) =>
  left + ((at_us - viewport.from_us) / (viewport.to_us - viewport.from_us)) * (width - left);

function paintGrid(context: CanvasRenderingContext2D, scene: TimelineScene): void {
  const { viewport, left, width, height, tokens } = scene;
  const { step_us, times } = rulerTimes(viewport, width - left);
  context.font = `11px ${tokens.sans}`;
  context.textBaseline = 'middle';
  context.textAlign = 'center';
  for (const at of times) {
    const x = Math.round(xAt(scene, at)) + 0.5;
    context.strokeStyle = tokens.line;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, height - RULER + 4);
    context.stroke();
    context.fillStyle = tokens.ink3;
    if (x > left + 18 && x < width - 18) context.fillText(timeText(at, step_us), x, height - RULER / 2 + 2);
  }
}

/** The best tile that there is for a time: of the level, or a coarser one while that is asked for. */
function tileFor(store: TileStore, level: number, at_us: number): Tile | null {
  for (let near = level; near <= Math.min(TILE_LEVEL_MAX, level + 7); near += 1) {
    const tile = store.find(near, Math.floor(at_us / tileSpan(near)));
    if (tile) return tile;
  }
  return null;
}

function paintTiles(context: CanvasRenderingContext2D, scene: TimelineScene, ratio: number, reuse: ImageData | null): ImageData | null {
  const { viewport, lanes, laneHeight, left, width, level, store, colourOf, tokens } = scene;
  const [columns, rows] = [Math.floor((width - left) * ratio), Math.ceil(((lanes.at(-1)?.y ?? 0) + laneHeight) * ratio)];
  if (columns < 1 || rows < 1) return reuse;
  const image = reuse?.width === columns && reuse.height === rows ? reuse : new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  const ground = pixel(tokens.ground);
  pixels.fill(0);
  const shades = new Map<number, Uint32Array>();
  const shadesOf = (layer: number): Uint32Array => {
    let of = shades.get(layer);
    if (!of) {
      const full = pixel(colourOf(layer - 1));
      of = Uint32Array.from({ length: 16 }, (_, busy) => (busy === 0 ? ground : mixed(ground, full, 0.25 + (0.75 * busy) / 15)));
      shades.set(layer, of);
    }
    return of;
  };
  const perPixel = (viewport.to_us - viewport.from_us) / columns;
  // Tile by tile, so that what a tile and a lane share is looked up once.
  const tiles: { tile: Tile; from: number; to: number }[] = [];
  for (let x = 0; x < columns; ) {
    const at_us = viewport.from_us + (x + 0.5) * perPixel;
    const span = tileSpan(level);
    const end = Math.min(columns, Math.max(x + 1, Math.ceil(((Math.floor(at_us / span) + 1) * span - viewport.from_us) / perPixel - 0.5)));
    const tile = at_us < 0 ? null : tileFor(store, level, at_us);
    if (tile) tiles.push({ tile, from: x, to: end });
    x = end;
  }
  const row = new Uint32Array(columns);
  const inset = laneHeight >= 10 ? 1 : 0;
  for (const lane of lanes) {
    const name = laneName(lane.worker.k, lane.slot);
    let isEmpty = true;
    row.fill(0);
    for (const { tile, from, to } of tiles) {
      const of = tile.lanes.get(name);
      if (!of) continue;
      isEmpty = false;
      const bucket_us = TILE_BASE_US * 2 ** tile.level;
      const begin_us = tile.index * bucket_us * TILE_BUCKETS;
      for (let x = from; x < to; x += 1) {
        const bucket = Math.floor((viewport.from_us + (x + 0.5) * perPixel - begin_us) / bucket_us);
        const layer = of.layers[bucket] ?? 0;
        // What is replayed has not happened yet beyond its time.
        const isPast = viewport.from_us + x * perPixel <= scene.now_us;
        if (layer !== 0 && isPast) row[x] = shadesOf(layer)[of.busy[bucket] ?? 0] ?? ground;
      }
    }
    if (isEmpty) continue;
    const [top, bottom] = [Math.round((lane.y + inset) * ratio), Math.min(rows, Math.round((lane.y + laneHeight - inset) * ratio))];
    for (let y = top; y < bottom; y += 1) pixels.set(row, y * columns);
  }
  // Through a bitmap of its own, since putImageData takes no notice of what is beneath.
  const layer = new OffscreenCanvas(columns, rows);
  layer.getContext('2d')?.putImageData(image, 0, 0);
  context.drawImage(layer, left, 0, columns / ratio, rows / ratio);
  return image;
}

function boxesOf(scene: TimelineScene, tasks: readonly DrawnTask[]) {
  const laneOf = new Map(scene.lanes.map((lane) => [laneName(lane.worker.k, lane.slot), lane]));
  return tasks.flatMap((task) => {
    const lane = laneOf.get(laneName(task.worker, task.slot));
    if (!lane) return [];
    const end_us = task.started_us + (task.duration_us ?? Math.max(0, scene.now_us - task.started_us));
    const [x, right] = [xAt(scene, task.started_us), xAt(scene, end_us)];
    if (right < scene.left || x > scene.width) return [];
    const from = Math.max(x, scene.left - 4);
    const inset = scene.laneHeight >= 10 ? 1.5 : 0;
    return [{ task, x: from, y: lane.y + inset, w: Math.max(0.6, Math.min(right, scene.width + 4) - from - (right - from > 4 ? 0.8 : 0)), h: scene.laneHeight - 2 * inset }];
  });
}

function paintTasks(context: CanvasRenderingContext2D, scene: TimelineScene, tasks: readonly DrawnTask[]): void {
  const perPixel = (scene.viewport.to_us - scene.viewport.from_us) / Math.max(1, scene.width - scene.left);
  const boxes = boxesOf(scene, tasks);
  // Below all tasks, so that a wait is seen where the slot was free: it explains the gap.
  for (const { task, x, y, h } of boxes) {
    const wait = task.fetch_us / perPixel;
    context.fillStyle = scene.colourOf(task.layer);
    if (wait > 2) context.fillRect(x - wait, y + h / 2 - 0.75, wait, 1.5);
  }
  for (const { task, x, y, w, h } of boxes) {
    context.fillStyle = task.marks & FAILED ? scene.tokens.alarm : scene.colourOf(task.layer);
    context.fillRect(x, y, w, h);
    if (task.marks & FAILED && w > 7 && h > 7) {
      context.fillStyle = scene.tokens.sheet;
      context.font = `600 ${Math.min(12, h)}px ${scene.tokens.sans}`;
      context.textAlign = 'center';
      context.textBaseline = 'middle';
      context.fillText('×', x + w / 2, y + h / 2 + 0.5);
    }
  }
}

function paintRunning(context: CanvasRenderingContext2D, scene: TimelineScene): void {
  for (const { task, x, y, w, h } of boxesOf(scene, scene.running)) {
    context.fillStyle = scene.colourOf(task.layer);
    context.globalAlpha = 0.36;
    context.fillRect(x, y, w, h);
    context.globalAlpha = 1;
    context.fillRect(x, y, Math.min(2, w), h);
    context.fillRect(x, y, w, 1);
    context.fillRect(x, y + h - 1, w, 1);
  }
}

function paintNow(context: CanvasRenderingContext2D, scene: TimelineScene): void {
  const x = Math.round(xAt(scene, scene.now_us)) + 0.5;
  context.strokeStyle = scene.tokens.accent;
  context.lineWidth = 1.5;
  context.beginPath();
  context.moveTo(x, 0);
  context.lineTo(x, scene.height - RULER + 4);
  context.stroke();
  context.lineWidth = 1;
}

function paintBox(context: CanvasRenderingContext2D, scene: TimelineScene): void {
  if (!scene.box) return;
  const [first, last] = [scene.lanes[scene.box.first], scene.lanes[scene.box.last]];
  if (!first || !last) return;
  const [x, right] = [xAt(scene, scene.box.from_us), xAt(scene, scene.box.to_us)];
  const [y, bottom] = [first.y - 1, last.y + scene.laneHeight + 1];
  context.fillStyle = scene.tokens.accent;
  context.globalAlpha = 0.12;
  context.fillRect(x, y, right - x, bottom - y);
  context.globalAlpha = 1;
  context.strokeStyle = scene.tokens.accent;
  context.lineWidth = 1.5;
  context.strokeRect(x, y, right - x, bottom - y);
  context.lineWidth = 1;
}

function paintNames(context: CanvasRenderingContext2D, scene: TimelineScene): void {
  const { lanes, laneHeight, left, tokens } = scene;
  context.textBaseline = 'middle';
  context.textAlign = 'left';
  let drawn_y = Number.NEGATIVE_INFINITY;
  for (const lane of lanes) {
    if (lane.slot !== 0) continue;
    const count = lanes.filter((other) => other.worker === lane.worker).length;
    const y = lane.y + (count * laneHeight) / 2;
    if (y - drawn_y < 13) continue;
    drawn_y = y;
    context.font = `600 12px ${tokens.sans}`;
    context.fillStyle = lane.worker.state === 'ready' ? tokens.ink : tokens.ink3;
    let text = lane.worker.name;
    while (text.length > 2 && context.measureText(text).width > left - 12) text = `${text.slice(0, -2)}…`;
    const isGone = lane.worker.state !== 'ready' && count * laneHeight >= 30;
    context.fillText(text, 0, y - (isGone ? 7 : 0));
    if (isGone) {
      context.font = `11px ${tokens.sans}`;
      context.fillStyle = lane.worker.state === 'lost' ? tokens.alarm : tokens.ink3;
      context.fillText(lane.worker.state, 0, y + 8);
    }
  }
}
