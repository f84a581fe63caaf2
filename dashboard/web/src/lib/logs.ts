import type { Key } from './frame';

export type LogLevel = 'info' | 'warn' | 'error';

export interface LogLine {
  seq: number;
  /** When it was logged first and last. */
  at_us: number;
  last_us: number;
  count: number;
  level: LogLevel;
  /** Who logged it: `scheduler`, or a worker's name. */
  from: string;
  source: Key | null;
  target: string;
  text: string;
  job: Key | null;
  layer: Key | null;
  block: number | null;
  /** The worker that it is about, if another logged it. */
  about: Key | null;
}

export interface LinesTold {
  now_us: number;
  lines: LogLine[];
  next: number;
  before: number | null;
  kept: [number, number, number];
  forgotten: number;
  lost: number;
}

export interface LogFilter {
  level: LogLevel;
  /** A worker, or the scheduler; all if empty. */
  from: string;
  text: string;
  job?: Key | undefined;
  layer?: Key | undefined;
  block?: number | undefined;
}

export const LEVELS: { level: LogLevel; text: string; title: string }[] = [
  { level: 'info', text: 'All', title: 'All lines' },
  { level: 'warn', text: 'Warnings', title: 'Warnings and errors' },
  { level: 'error', text: 'Errors', title: 'Errors alone' },
];

/** Lines that a page has at a time, unless older ones are asked for. */
export const SHOWN_MAX = 1_500;

/** The address of the lines that a filter leaves. */
export function addressOfLines(filter: LogFilter, cursor: { after?: number; before?: number } = {}): string {
  const asked = new URLSearchParams({ level: filter.level });
  if (filter.from) asked.set('from', filter.from);
  if (filter.text.trim()) asked.set('text', filter.text.trim());
  const numbers = { job: filter.job, layer: filter.layer, block: filter.block, ...cursor };
  for (const [name, value] of Object.entries(numbers)) if (value !== undefined) asked.set(name, String(value));
  return `api/logs?${asked}`;
}

/**
 * Puts lines that came among those that are there, each where its time is: workers tell theirs a moment later than they
 * log them. Of too many the oldest go.
 */
export function merged(there: readonly LogLine[], came: readonly LogLine[], count_max: number): LogLine[] {
  const known = new Set(there.map((line) => line.seq));
  const all = [...there, ...came.filter((line) => !known.has(line.seq))];
  all.sort((a, b) => a.at_us - b.at_us || a.seq - b.seq);
  return all.slice(-count_max);
}

/** The time of day of a moment of the cluster. */
export function timeOfDay(at_us: number, start_ms: number): string {
  const at = new Date(start_ms + at_us / 1_000);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}
