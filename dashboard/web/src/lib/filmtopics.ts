/** What a film has of communication, insights, movements and log lines: the answers of the server at moments of the run. */
import type { CommunicationTold, InsightsTold, MoveClass, MoveSpan } from './ask';
import type { HolderName } from './askworkers';
import type { FilmScaling, HeldWire } from './filmworkers';
import type { Key } from './frame';
import { LEVELS, type LinesTold, type LogFilter, type LogLine } from './logs';

/** Where topics lie among a film's blobs, as `src/runs/topics.rs` writes them. */
export interface TopicPlaces {
  /** Answers: the step from which on one stands, where it begins, and how long it is. */
  communication: [number, number, number][];
  insights: [number, number, number][];
  held: [number, number, number][];
  /** `null` if the run was recorded without decisions on the number of workers. */
  scaling: [number, number, number][] | null;
  names: [number, number];
  lines: [number, number];
  moves: [number, number];
}

interface FilmLines {
  lines: LogLine[];
  forgotten: number;
  lost: number;
}

interface FilmMoves {
  spans: MoveSpan[];
  forgotten: number;
}

/** Lines of one answer, as on the server. */
export const LINE_TOLD_MAX = 500;

export class FilmTopics {
  readonly #places: TopicPlaces;
  readonly #blobs: Uint8Array;
  /** Answers that were read, by where they begin. */
  readonly #read = new Map<number, unknown>();

  constructor(places: TopicPlaces, blobs: Uint8Array) {
    this.#places = places;
    this.#blobs = blobs;
  }

  #json<T>(at: number, len: number): T {
    if (!this.#read.has(at)) this.#read.set(at, JSON.parse(new TextDecoder().decode(this.#blobs.subarray(at, at + len))));
    return this.#read.get(at) as T;
  }

  #at<T>(topic: 'communication' | 'insights' | 'held' | 'scaling', step: number): T | null {
    const place = this.#places[topic]?.findLast(([from]) => from <= step);
    return place ? this.#json(place[1], place[2]) : null;
  }

  communication(step: number): CommunicationTold | null {
    return this.#at('communication', step);
  }

  insights(step: number): InsightsTold | null {
    return this.#at('insights', step);
  }

  get hasScaling(): boolean {
    return this.#places.scaling !== null;
  }

  /** What was held at a step. */
  held(step: number): readonly HeldWire[] {
    return this.#at('held', step) ?? [];
  }

  scaling(step: number): FilmScaling | null {
    return this.#at('scaling', step);
  }

  names(): readonly HolderName[] {
    return this.#json(...this.#places.names);
  }

  /** The lines that had been logged by a time, the latest that a filter leaves, or the latest before a number. */
  lines(filter: LogFilter, before: number | undefined, at_us: number): LinesTold {
    const all = this.#json<FilmLines>(...this.#places.lines);
    const there = all.lines.filter((line) => line.at_us <= at_us);
    const found = there.filter((line) => line.seq < (before ?? Infinity) && isMet(filter, line));
    const lines = found.slice(-LINE_TOLD_MAX);
    const levels = LEVELS.map(({ level }) => there.filter((line) => line.level === level).length) as LinesTold['kept'];
    return {
      now_us: at_us,
      lines,
      next: there.length,
      before: found.length > lines.length ? lines[0]!.seq : null,
      kept: levels,
      forgotten: all.forgotten,
      lost: all.lost,
    };
  }

  /** What was moved in a span of time, as far as it had begun by a time. */
  moves(from_us: number, to_us: number, at_us: number): FilmMoves {
    const { spans, forgotten } = this.#json<FilmMoves>(...this.#places.moves);
    return { spans: spans.filter((it) => it.began_us < Math.min(to_us, at_us) && it.ended_us >= from_us), forgotten };
  }

  /** Bytes that workers from one to another moved in a span of time; what lies partly within counts by its share. */
  moved(from_us: number, to_us: number, first: Key, last: Key): [MoveClass, number][] {
    const sums = new Map<MoveClass, number>();
    for (const it of this.moves(from_us, to_us, to_us).spans) {
      if (it.worker < first || it.worker > last) continue;
      const part = it.ended_us > it.began_us ? (Math.min(it.ended_us, to_us) - Math.max(it.began_us, from_us)) / (it.ended_us - it.began_us) : 1;
      sums.set(it.class, (sums.get(it.class) ?? 0) + it.bytes * part);
    }
    return [...sums];
  }
}

/** Whether a line is asked for: the rules of `src/aggregate/lines.rs`. */
function isMet({ level, from, text, job, layer, block }: LogFilter, line: LogLine): boolean {
  const place = (of: string) => LEVELS.findIndex((it) => it.level === of);
  const sought = text.trim().toLowerCase();
  return (
    place(line.level) >= place(level) &&
    (from === '' || (from === 'scheduler' ? line.source === null && line.from === from : line.source === Number(from) || line.about === Number(from))) &&
    (job === undefined || line.job === job) &&
    (layer === undefined || line.layer === layer) &&
    (block === undefined || line.block === block) &&
    [line.text, line.target, line.from].some((it) => it.toLowerCase().includes(sought))
  );
}
