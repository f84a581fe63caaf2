import type { CommunicationTold, InsightsTold, MoveSpan, TimelineHead, TimelineSums } from './ask';
import type { Direction, MemoryTold, RosterOrder, RosterTold, ScalingTold, WorkerTold } from './askworkers';
import { CellStore, workerOfCell, CELL_AGAIN } from './cells';
import { firstAbove, readTasks, unpackFilm, type FilmHead, type FilmLane, type FilmTasks } from './film';
import { FilmError } from './filmerror';
import { filmSums, filmTasks, filmTile, wireOf } from './filmtiles';
import { FilmTopics } from './filmtopics';
import { filmMemory, filmRoster, filmWorker, type Shown } from './filmworkers';
import { drawnFromStream, type BlockLink, type BlockStory, type DrawnTask, type Key, type Outline, type StreamWire } from './frame';
import type { Link, Watched } from './live.svelte';
import type { LinesTold, LogFilter } from './logs';
import { moved, type Playing } from './playing';
import { busyBuckets, speedFor } from './scrub';
import { STATE_WORDS } from './statenames';
import { nextView, STREAM_COUNT_MAX, STREAM_SPAN_US, type View } from './view';

/** Played with less motion, it goes on so often. */
const CALM_MS = 1_000;
const FRAME_MS = 40;
/** Blocks of one link that are told, as on the server. */
const LINK_BLOCK_COUNT_MAX = 4_096;

/** Shows a run at any time of it. */
export class Player implements Watched, Playing {
  readonly link: Link = 'replay';
  readonly head: FilmHead;
  at_us = $state(0);
  isPlaying = $state(false);
  /** How many times as fast as it was. */
  speed = $state(1);
  readonly view: View | null = $derived.by(() => this.#viewAt(this.at_us));
  readonly clock = { now_us: () => this.at_us };

  readonly #blobs: Uint8Array;
  readonly #tasks: FilmTasks;
  readonly #lanes: FilmLane[];
  readonly #topics: FilmTopics | null;
  /** When tasks ended, in order; made when somebody asks. */
  #ends: Float64Array | null = null;
  readonly #steps: View[] = [];
  readonly #cells = new Map<Key, CellStore>();
  /** How many frames a store has taken in. */
  readonly #taken = new WeakMap<CellStore, { job: Key; count: number }>();

  private constructor(head: FilmHead, blobs: Uint8Array) {
    this.head = head;
    this.#blobs = blobs;
    const { tasks, lanes } = readTasks(head, blobs);
    this.#tasks = tasks;
    this.#lanes = lanes;
    this.#topics = head.topics && new FilmTopics(head.topics, blobs);
    this.#viewOfStep(head.steps_us.length - 1);
    this.at_us = head.span_us;
    this.speed = speedFor(head.span_us);
  }

  /** Opens a film. Throws a {@link FilmError} that says what is wrong with it. */
  static async open(packed: Uint8Array<ArrayBuffer>): Promise<Player> {
    const { head, blobs } = await unpackFilm(packed);
    return new Player(head, blobs);
  }

  get span_us(): number {
    return this.head.span_us;
  }

  get began_ms(): number {
    return this.head.began_unix_ms;
  }

  get hasTopics(): boolean {
    return this.#topics !== null;
  }

  communication(): CommunicationTold | null {
    return this.#topics?.communication(this.#stepAt(this.at_us)) ?? null;
  }

  insights(): InsightsTold | null {
    return this.#topics?.insights(this.#stepAt(this.at_us)) ?? null;
  }

  get hasScaling(): boolean {
    return this.#topics?.hasScaling ?? false;
  }

  roster(order: RosterOrder, direction: Direction, from: number): RosterTold {
    return filmRoster(this.#shown(), order, direction, from);
  }

  worker(worker: Key, level: number): WorkerTold | null {
    return filmWorker(this.#shown(), worker, level);
  }

  memory(level: number): MemoryTold {
    return filmMemory(this.#shown(), level);
  }

  scaling(): ScalingTold | null {
    const told = this.#topics?.scaling(this.#stepAt(this.at_us));
    return told ? { ...told.story, now_us: this.at_us } : null;
  }

  /** All until the time that is shown. */
  #shown(): Shown {
    const last = this.#stepAt(this.at_us);
    const times = this.head.steps_us.slice(0, last + 1);
    return {
      view: this.#viewAt(this.at_us),
      at_us: this.at_us,
      steps: times.map((at_us, step) => ({ at_us, view: this.#viewOfStep(step), held: this.#topics?.held(step) ?? [] })),
      step_us: Math.max(1, Math.floor(this.span_us / Math.max(1, this.head.steps_us.length - 1))),
      names: this.#topics?.names() ?? [],
      scaling: this.#topics?.scaling(last) ?? null,
    };
  }

  lines(filter: LogFilter, before?: number): LinesTold | null {
    // At its end, also what was logged about that.
    return this.#topics?.lines(filter, before, this.at_us < this.span_us ? this.at_us : Infinity) ?? null;
  }

  moves(from_us: number, to_us: number): { spans: MoveSpan[]; forgotten: number } {
    return this.#topics?.moves(from_us, to_us, this.at_us) ?? { spans: [], forgotten: 0 };
  }

  /** How many tasks ran on average in each of so many equal parts of the run. */
  busy(parts: number): number[] {
    return busyBuckets(this.#tasks.started, this.#tasks.ended, this.span_us, parts);
  }

  seek(at_us: number): void {
    this.at_us = Math.max(0, Math.min(this.span_us, Math.round(at_us)));
    moved();
  }

  /** Goes on or back by steps of the film. */
  step(steps: number): void {
    const { steps_us } = this.head;
    const step = this.#stepAt(this.at_us) + steps;
    this.seek(steps_us[Math.max(0, Math.min(steps_us.length - 1, step))] ?? 0);
  }

  toggle(): void {
    if (!this.isPlaying && this.at_us >= this.span_us) this.seek(0);
    this.isPlaying = !this.isPlaying;
  }

  /** Moves on while it plays; returns how to stop. */
  run(): () => void {
    const calm = matchMedia('(prefers-reduced-motion: reduce)');
    let before_ms = performance.now();
    let request = 0;
    const tick = (at_ms: number) => {
      request = requestAnimationFrame(tick);
      const passed_ms = at_ms - before_ms;
      if (passed_ms < (calm.matches ? CALM_MS : FRAME_MS)) return;
      before_ms = at_ms;
      this.seek(this.at_us + passed_ms * 1_000 * this.speed);
      if (this.at_us >= this.span_us) this.isPlaying = false;
    };
    request = requestAnimationFrame(tick);
    return () => cancelAnimationFrame(request);
  }

  #stepAt(at_us: number): number {
    const { steps_us } = this.head;
    let step = steps_us.length - 1;
    while (step > 0 && steps_us[step]! > at_us) step -= 1;
    return step;
  }

  #viewOfStep(step: number): View {
    for (let next = this.#steps.length; next <= step; next += 1) {
      let view = this.#steps[next - 1] ?? null;
      for (const frame of this.head.frames[next] ?? []) {
        const after = nextView(view, frame);
        if (typeof after === 'string') throw new FilmError('This run is damaged: its frames do not follow each other.');
        view = after;
      }
      if (!view) throw new FilmError('This run is damaged: it has no beginning.');
      this.#steps.push(view);
    }
    return this.#steps[step]!;
  }

  /** The tables of the step before, and what ran and had ended at that very time. */
  #viewAt(at_us: number): View {
    const of = this.#viewOfStep(this.#stepAt(at_us));
    const running: DrawnTask[] = [];
    const stream: DrawnTask[] = [];
    const each = Math.max(8, Math.floor(STREAM_COUNT_MAX / Math.max(1, this.#lanes.length)));
    for (const lane of this.#lanes) {
      const end = firstAbove(this.#tasks.started, at_us, lane.first, lane.end);
      for (let row = Math.max(lane.first, end - each); row < end; row += 1) {
        const task = drawnFromStream(wireOf(this.#tasks, lane, row));
        const ended_us = this.#tasks.ended[row]!;
        if (ended_us > at_us) running.push({ ...task, duration_us: null });
        else if (ended_us > at_us - STREAM_SPAN_US) stream.push(task);
      }
    }
    stream.sort((a, b) => a.started_us + (a.duration_us ?? 0) - b.started_us - (b.duration_us ?? 0));
    return { ...withRunning(of, running), stream, head: { ...of.head, now_us: at_us, running: running.length } };
  }

  outline(job: Key): Outline | null {
    return this.head.plans.find((plan) => plan.job === job) ?? null;
  }

  timeline(): TimelineHead {
    this.#ends ??= this.#tasks.ended.slice().sort();
    const tasks = firstAbove(this.#ends, this.at_us);
    return { first_us: 0, end_us: this.span_us, tasks, forgotten: 0 };
  }

  tasks(from_us: number, to_us: number): { tasks: StreamWire[] | null } {
    return { tasks: filmTasks(this.#tasks, this.#lanes, from_us, to_us) };
  }

  sums(from_us: number, to_us: number, first: [Key, number], last: [Key, number]): TimelineSums {
    const until_us = Math.max(from_us, Math.min(to_us, this.at_us));
    const sums = filmSums(this.#tasks, this.#lanes, from_us, until_us, first, last);
    return { ...sums, moved: this.#topics?.moved(from_us, until_us, first[0], last[0]) ?? [] };
  }

  tile(level: number, index: number): Uint8Array {
    return filmTile(this.#tasks, this.#lanes, level, index);
  }

  project(job: Key, store: CellStore): void {
    const step = this.#stepAt(this.at_us);
    const frames = this.head.arrays.find((it) => it.job === job)?.frames ?? [];
    let wanted = 0;
    while (wanted < frames.length && frames[wanted]![0] <= step) wanted += 1;
    const known = this.#taken.get(store);
    // Back is from the beginning: a frame tells the way on alone.
    let from = known?.job === job && known.count <= wanted ? known.count : 0;
    if (from === 0) store.arrays.clear();
    for (; from < wanted; from += 1) {
      const [, at, len] = frames[from]!;
      if (store.apply(this.#blobs.subarray(at, at + len)) !== 'ok') break;
    }
    this.#taken.set(store, { job, count: from });
  }

  block(layer: Key, block: number): BlockStory | null {
    const view = this.view;
    const row = view?.layers.get(layer);
    const plan = row && this.outline(row.job)?.layers.find((it) => it.k === layer);
    if (!view || !row || !plan || block >= row.total) return null;
    const cells = this.#cellsOf(row.job).arrays.get(layer);
    const byte = (plane: number) => cells?.planes[plane]?.[block] ?? 0;
    const state = STATE_WORDS[byte(0) & 0x0f] ?? 'waiting';
    const again = (byte(0) & CELL_AGAIN) !== 0;
    const extents = extentsOf(plan.axes ?? [], block);
    const elements = extents.reduce((all, [from, to]) => all * (to - from), 1);
    const running = view.running.find((task) => task.layer === layer && task.block === block);
    const failures = view.failures.filter((it) => it.layer === layer && it.block === block);
    return {
      layer,
      block,
      extents,
      planned_bytes: elements * plan.item_bytes,
      state,
      attempt: null,
      again,
      worker: cells ? workerOfCell(cells, block) : null,
      given_us: running ? running.started_us - running.fetch_us : null,
      started_us: running?.started_us ?? null,
      bytes_step: byte(3),
      time_step: byte(4),
      errors: failures.map((it) => [it.attempt, it.message]),
      inputs: (this.head.links[layer] ?? []).map(([of, blocks]) => this.#link(row.job, of, blocks[block] ?? [])),
      consumers: this.#consumers(row.job, layer, block),
    };
  }

  #cellsOf(job: Key): CellStore {
    const store = this.#cells.get(job) ?? new CellStore();
    this.#cells.set(job, store);
    this.project(job, store);
    return store;
  }

  #link(job: Key, layer: Key, runs: [number, number][]): BlockLink {
    const plane = this.#cellsOf(this.view?.layers.get(layer)?.job ?? job).arrays.get(layer)?.planes[0];
    let [count, done] = [0, 0];
    for (const [first, len] of runs) {
      for (let at = first; at < first + len && count < LINK_BLOCK_COUNT_MAX; at += 1, count += 1) {
        const state = (plane?.[at] ?? 0) & 0x0f;
        if (state === 3 || state === 4 || state === 6) done += 1;
      }
    }
    return { layer, count, done, runs };
  }

  #consumers(job: Key, layer: Key, block: number): BlockLink[] {
    const links: BlockLink[] = [];
    for (const [reader, inputs] of Object.entries(this.head.links)) {
      for (const [of, blocks] of inputs) {
        if (of !== layer) continue;
        const runs: [number, number][] = [];
        blocks.forEach((reads, at) => {
          if (!reads.some(([first, len]) => first <= block && block < first + len)) return;
          const last = runs.at(-1);
          if (last && last[0] + last[1] === at) last[1] += 1;
          else runs.push([at, 1]);
        });
        if (runs.length > 0) links.push(this.#link(job, Number(reader), runs));
      }
    }
    return links;
  }
}

/** The rows with as many running tasks as are shown, which may be others than at the step before. */
function withRunning(view: View, running: readonly DrawnTask[]): View {
  const counted = <R extends { k: Key; running: number }>(rows: ReadonlyMap<Key, R>, keyOf: (task: DrawnTask) => Key) => {
    const counts = new Map<Key, number>();
    for (const task of running) counts.set(keyOf(task), (counts.get(keyOf(task)) ?? 0) + 1);
    return new Map([...rows].map(([key, row]) => [key, { ...row, running: counts.get(key) ?? 0 }]));
  };
  return { ...view, running, workers: counted(view.workers, (task) => task.worker), layers: counted(view.layers, (task) => task.layer) };
}

/** Where a block lies: blocks are numbered with the last axis fastest. */
function extentsOf(axes: { len: number; count: number; chunk?: number; cuts?: number[] }[], block: number): [number, number][] {
  const extents: [number, number][] = [];
  let left = block;
  for (const axis of axes.toReversed()) {
    const at = left % axis.count;
    left = Math.floor(left / axis.count);
    const cut = (index: number) => axis.cuts?.[index] ?? Math.min(axis.len, index * (axis.chunk ?? axis.len));
    extents.unshift([cut(at), cut(at + 1)]);
  }
  return extents;
}
