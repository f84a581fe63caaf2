import { colour, type Ink, type Theme } from './colours';
import { AGAIN, FAILED, SPILLED, type DrawnTask, type Key, type LayerRow } from './frame';
import { laneOf, lanesHeight, taskName, xOf, yOf, type Geometry, type LaneGroup } from './lanes';
import type { View } from './view';
import { timeText } from './viewport';

/** The page's own colours, as the style sheet has them. */
export interface Tokens {
  ground: string;
  sheet: string;
  ink: string;
  ink2: string;
  ink3: string;
  line: string;
  line2: string;
  alarm: string;
  track: string;
  sans: string;
}

export interface Scene {
  view: View;
  groups: readonly LaneGroup[];
  groupOf: Map<Key, LaneGroup>;
  geometry: Geometry;
  theme: Theme;
  tokens: Tokens;
  inkOf: Map<string, Ink>;
  highlighted: string | null;
  selected: DrawnTask | null;
}

/** Height of the time ruler under the lanes. */
export const RULER_HEIGHT = 24;

const RULER_STEP_US = 5_000_000;

/** Time from tick to tick: what is replayed may be shorter than a few seconds. */
function rulerStep(span_us: number): number {
  let step_us = RULER_STEP_US;
  while (step_us > 50 && span_us / step_us < 4) step_us /= 5;
  return step_us;
}

export function tokensOf(element: Element): Tokens {
  const style = getComputedStyle(element);
  const value = (name: string) => style.getPropertyValue(name).trim();
  return {
    ground: value('--ground'),
    sheet: value('--sheet'),
    ink: value('--ink'),
    ink2: value('--ink-2'),
    ink3: value('--ink-3'),
    line: value('--line'),
    line2: value('--line-2'),
    alarm: value('--alarm'),
    track: value('--track'),
    sans: value('--sans') || 'sans-serif',
  };
}

/** Draws the whole stream; coordinates are CSS pixels. */
export function paint(context: CanvasRenderingContext2D, scene: Scene, width: number, height: number): void {
  context.clearRect(0, 0, width, height);
  paintLanes(context, scene);
  context.save();
  const { left, width: plot, top } = scene.geometry;
  context.beginPath();
  context.rect(left, top - 1, plot, lanesHeight(scene.geometry, scene.groups) + 2);
  context.clip();
  paintTasks(context, scene);
  context.restore();
  paintRuler(context, scene);
  paintNames(context, scene);
}

function paintLanes(context: CanvasRenderingContext2D, scene: Scene): void {
  const { geometry, groups, tokens } = scene;
  const { left, width, laneHeight } = geometry;
  const bottom = geometry.top + lanesHeight(geometry, groups);
  context.fillStyle = tokens.ground;
  for (const group of groups) {
    context.fillRect(left, yOf(geometry, groups, group.first), width, group.count * laneHeight);
  }
  context.strokeStyle = tokens.line;
  context.lineWidth = 1;
  context.beginPath();
  for (const at of rulerTimes(geometry)) {
    const x = Math.round(xOf(geometry, at)) + 0.5;
    if (x <= left || x > left + width) continue;
    context.moveTo(x, geometry.top);
    context.lineTo(x, bottom);
  }
  if (laneHeight >= 8) {
    for (const group of groups) {
      for (let lane = group.first + 1; lane < group.first + group.count; lane += 1) {
        const y = Math.round(yOf(geometry, groups, lane)) + 0.5;
        context.moveTo(left, y);
        context.lineTo(left + width, y);
      }
    }
  }
  context.stroke();
  paintDepartures(context, scene);
}

/** From when on a worker is gone, its lanes are struck out. */
function paintDepartures(context: CanvasRenderingContext2D, scene: Scene): void {
  const { geometry, groups, tokens } = scene;
  for (const group of groups) {
    const left_us = group.worker.left_us;
    if (left_us === null) continue;
    const x = Math.max(geometry.left, xOf(geometry, left_us));
    const y = yOf(geometry, groups, group.first);
    const [w, h] = [geometry.left + geometry.width - x, group.count * geometry.laneHeight];
    if (w <= 0) continue;
    context.save();
    context.beginPath();
    context.rect(x, y, w, h);
    context.clip();
    context.fillStyle = tokens.sheet;
    context.fillRect(x, y, w, h);
    context.strokeStyle = tokens.line;
    context.beginPath();
    for (let at = x - h; at < x + w; at += 7) {
      context.moveTo(at, y + h);
      context.lineTo(at + h, y);
    }
    context.stroke();
    context.fillStyle = group.worker.state === 'lost' ? tokens.alarm : tokens.ink3;
    context.fillRect(x, y, 2, h);
    context.restore();
  }
}

interface Box {
  x: number;
  y: number;
  w: number;
  h: number;
}

function boxOf(scene: Scene, task: DrawnTask): Box | null {
  const { geometry, groups, groupOf } = scene;
  const lane = laneOf(groupOf, task);
  if (lane === null) return null;
  const end_us = task.started_us + (task.duration_us ?? Math.max(0, geometry.now_us - task.started_us));
  const x = xOf(geometry, task.started_us);
  const right = xOf(geometry, end_us);
  if (right < geometry.left || x > geometry.left + geometry.width) return null;
  const inset = geometry.laneHeight >= 10 ? 1.5 : geometry.laneHeight >= 6 ? 0.5 : 0;
  // A hair of ground between neighbours, once there is room for one.
  const w = Math.max(right - x > 4 ? right - x - 1 : right - x, 0.75);
  return { x, y: yOf(geometry, groups, lane) + inset, w, h: geometry.laneHeight - 2 * inset };
}

/** By ink, so that the colour changes a few times a frame and not once a task. */
function paintTasks(context: CanvasRenderingContext2D, scene: Scene): void {
  const { view, tokens } = scene;
  const batches = new Map<LayerRow | undefined, { box: Box; task: DrawnTask }[]>();
  for (const tasks of [view.stream, view.running]) {
    for (const task of tasks) {
      const box = boxOf(scene, task);
      if (!box) continue;
      const layer = view.layers.get(task.layer);
      const batch = batches.get(layer);
      if (batch) batch.push({ box, task });
      else batches.set(layer, [{ box, task }]);
    }
  }
  // Below all tasks, so that a wait is seen where the slot was free: it explains the gap.
  for (const [layer, batch] of batches) paintWaits(context, scene, layer, batch);
  for (const [layer, batch] of batches) {
    const ink = layer && scene.inkOf.get(layer.name);
    const isDimmed = scene.highlighted !== null && layer?.name !== scene.highlighted;
    const fill = layer ? colour(ink, scene.theme) : tokens.ink3;
    context.globalAlpha = isDimmed ? 0.16 : 1;
    context.fillStyle = fill;
    for (const { box, task } of batch) {
      if (task.duration_us === null) continue;
      context.fillRect(box.x, box.y, box.w, box.h);
    }
    for (const { box, task } of batch) {
      if (task.duration_us === null) paintRunning(context, box, fill, isDimmed);
      if (ink?.striped && box.w > 3) paintStripes(context, box, tokens.sheet);
      if (task.marks !== 0) paintMarks(context, box, task.marks, tokens);
    }
  }
  context.globalAlpha = 1;
  paintSelected(context, scene);
}

/** What a task waited for its inputs, as a line along the middle of the lane: no slot was held. */
function paintWaits(
  context: CanvasRenderingContext2D,
  scene: Scene,
  layer: LayerRow | undefined,
  batch: { box: Box; task: DrawnTask }[],
): void {
  const { geometry } = scene;
  const isDimmed = scene.highlighted !== null && layer?.name !== scene.highlighted;
  context.globalAlpha = isDimmed ? 0.12 : 0.7;
  context.fillStyle = layer ? colour(scene.inkOf.get(layer.name), scene.theme) : scene.tokens.ink3;
  for (const { box, task } of batch) {
    const w = (task.fetch_us / geometry.span_us) * geometry.width;
    if (w > 1.5) context.fillRect(box.x - w, box.y + box.h / 2 - 0.75, w, 1.5);
  }
}

/** A task that runs has an outline and an open right end. */
function paintRunning(context: CanvasRenderingContext2D, box: Box, fill: string, isDimmed: boolean): void {
  const alpha = context.globalAlpha;
  context.globalAlpha = isDimmed ? 0.08 : 0.34;
  context.fillStyle = fill;
  context.fillRect(box.x, box.y, box.w, box.h);
  context.globalAlpha = alpha;
  context.fillRect(box.x, box.y, Math.min(2, box.w), box.h);
  context.fillRect(box.x, box.y, box.w, 1);
  context.fillRect(box.x, box.y + box.h - 1, box.w, 1);
}

function paintStripes(context: CanvasRenderingContext2D, box: Box, ground: string): void {
  context.save();
  context.beginPath();
  context.rect(box.x, box.y, box.w, box.h);
  context.clip();
  context.strokeStyle = ground;
  context.lineWidth = 1.2;
  context.beginPath();
  for (let x = box.x - box.h; x < box.x + box.w; x += 5) {
    context.moveTo(x, box.y + box.h);
    context.lineTo(x + box.h, box.y);
  }
  context.stroke();
  context.restore();
}

function paintMarks(context: CanvasRenderingContext2D, box: Box, marks: number, tokens: Tokens): void {
  if (marks & FAILED) {
    context.fillStyle = tokens.alarm;
    context.fillRect(box.x, box.y, box.w, box.h);
    if (box.w > 6 && box.h > 6) {
      const [cx, cy, r] = [box.x + box.w / 2, box.y + box.h / 2, Math.min(4, box.h / 2 - 1.5, box.w / 2 - 1)];
      context.strokeStyle = tokens.sheet;
      context.lineWidth = 1.6;
      context.beginPath();
      context.moveTo(cx - r, cy - r);
      context.lineTo(cx + r, cy + r);
      context.moveTo(cx + r, cy - r);
      context.lineTo(cx - r, cy + r);
      context.stroke();
    }
    return;
  }
  if (marks & AGAIN && box.h > 4 && box.w > 3) {
    const size = Math.min(5.5, box.h / 3, box.w * 0.7);
    context.fillStyle = tokens.sheet;
    context.beginPath();
    context.moveTo(box.x, box.y);
    context.lineTo(box.x + size, box.y);
    context.lineTo(box.x, box.y + size);
    context.closePath();
    context.fill();
  }
  if (marks & SPILLED && box.h > 6) {
    context.fillStyle = tokens.sheet;
    context.fillRect(box.x, box.y + box.h - 3, box.w, 1);
  }
}

function paintSelected(context: CanvasRenderingContext2D, scene: Scene): void {
  if (!scene.selected) return;
  const name = taskName(scene.selected);
  const same = (task: DrawnTask) => taskName(task) === name && task.started_us === scene.selected?.started_us;
  const box = boxOf(scene, scene.view.running.find(same) ?? scene.view.stream.find(same) ?? scene.selected);
  if (!box) return;
  context.strokeStyle = scene.tokens.ink;
  context.lineWidth = 1.5;
  context.strokeRect(box.x - 0.75, box.y - 0.75, box.w + 1.5, box.h + 1.5);
}

function* rulerTimes(geometry: Geometry): Generator<number> {
  const step_us = rulerStep(geometry.span_us);
  const first = Math.ceil((geometry.now_us - geometry.span_us) / step_us) * step_us;
  for (let at = first; at <= geometry.now_us; at += step_us) yield at;
}

/** The ruler is the frame of a map: fields of five seconds or less, every other one filled. */
function paintRuler(context: CanvasRenderingContext2D, scene: Scene): void {
  const { geometry, groups, tokens } = scene;
  const y = geometry.top + lanesHeight(geometry, groups) + 4;
  const { left, width } = geometry;
  const step_us = rulerStep(geometry.span_us);
  context.save();
  context.beginPath();
  context.rect(left, y, width, RULER_HEIGHT);
  context.clip();
  for (const at of rulerTimes({ ...geometry, now_us: geometry.now_us + step_us })) {
    const from = at - step_us;
    const isFilled = Math.floor(from / step_us) % 2 === 0;
    const x = xOf(geometry, from);
    context.fillStyle = isFilled ? tokens.line2 : tokens.sheet;
    context.fillRect(x, y, xOf(geometry, at) - x, 4);
  }
  context.strokeStyle = tokens.line2;
  context.lineWidth = 1;
  context.strokeRect(left + 0.5, y + 0.5, width - 1, 3);
  context.font = `11px ${tokens.sans}`;
  context.textBaseline = 'top';
  context.textAlign = 'center';
  context.fillStyle = tokens.ink3;
  for (const at of rulerTimes(geometry)) {
    if (Math.round(at / step_us) % 2 !== 0) continue;
    const x = xOf(geometry, at);
    if (x > left + 16 && x < left + width - 16) context.fillText(at < 0 ? '' : step_us < RULER_STEP_US ? timeText(at, step_us) : clockOf(at), x, y + 8);
  }
  context.restore();
}

function clockOf(at_us: number): string {
  const seconds = Math.round(at_us / 1e6);
  if (seconds < 0) return '';
  const [h, m, s] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  const tail = `${String(m).padStart(h > 0 ? 2 : 1, '0')}:${String(s).padStart(2, '0')}`;
  return h > 0 ? `${h}:${tail}` : tail;
}

function paintNames(context: CanvasRenderingContext2D, scene: Scene): void {
  const { geometry, groups, tokens } = scene;
  context.textBaseline = 'middle';
  context.textAlign = 'left';
  for (const group of groups) {
    const height = group.count * geometry.laneHeight;
    if (height < 9) continue;
    const y = yOf(geometry, groups, group.first) + height / 2;
    const isGone = group.worker.state !== 'ready';
    context.font = `600 12px ${tokens.sans}`;
    context.fillStyle = isGone ? tokens.ink3 : tokens.ink;
    const hasState = isGone && height >= 30;
    context.fillText(fitted(context, group.worker.name, geometry.left - 14), 0, y - (hasState ? 7 : 0));
    if (hasState) {
      context.font = `11px ${tokens.sans}`;
      context.fillStyle = group.worker.state === 'lost' ? tokens.alarm : tokens.ink3;
      context.fillText(group.worker.state, 0, y + 8);
    }
  }
}

function fitted(context: CanvasRenderingContext2D, text: string, width: number): string {
  if (context.measureText(text).width <= width) return text;
  let kept = text.length;
  while (kept > 1 && context.measureText(`${text.slice(0, kept)}…`).width > width) kept -= 1;
  return `${text.slice(0, kept)}…`;
}
