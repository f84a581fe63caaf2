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
