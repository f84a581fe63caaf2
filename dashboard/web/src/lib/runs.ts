/** A run of the history: the shapes of `src/runs/recorder.rs`. */
import type { JobState } from './frame';

export type RunKey = number;

export interface RunRow {
  k: RunKey;
  name: string;
  state: JobState;
  message?: string;
  began_unix_ms: number;
  took_us: number;
  total: number;
  tasks: number;
  bytes: number;
  left_out: number;
}

/** The history of runs. */
export interface RunsTold {
  runs: RunRow[];
  /** Whether runs that end are written to a folder too. */
  on_disk: boolean;
  /** Runs that were kept, and had to make room. */
  forgotten: number;
  /** How many runs, and bytes of them, are kept at most. */
  count_max: number;
  bytes_max: number;
}

export const OUTCOMES: Record<JobState, { mark: string; text: string }> = {
  running: { mark: '●', text: 'running' },
  succeeded: { mark: '✓', text: 'succeeded' },
  failed: { mark: '✕', text: 'failed' },
  cancelled: { mark: '–', text: 'cancelled' },
};

/** When it began: the time alone if that was today. */
export function began(unix_ms: number, now_ms: number, locale?: string, timeZone?: string): string {
  const zone = timeZone === undefined ? {} : { timeZone };
  const day = (ms: number) => new Date(ms).toLocaleDateString('en', zone);
  const time = new Date(unix_ms).toLocaleTimeString(locale, { ...zone, hour: '2-digit', minute: '2-digit', second: '2-digit' });
  if (day(unix_ms) === day(now_ms)) return time;
  return `${new Date(unix_ms).toLocaleDateString(locale, { ...zone, year: 'numeric', month: 'short', day: 'numeric' })}, ${time}`;
}
