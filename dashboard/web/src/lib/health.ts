import { ago, count } from './format';
import type { View } from './view';

/** One sentence on how the cluster is, and how grave that is. */
export interface Health {
  grade: 'calm' | 'notice' | 'alarm';
  text: string;
}

/** A worker that hasn't reported for this long is spoken of. */
const SILENT_US = 10_000_000;

/** A worker that was lost within this time is spoken of. */
const RECENT_US = 90_000_000;

/** The gravest thing there is to say. */
export function health(view: View): Health {
  const { now_us } = view.head;
  const workers = [...view.workers.values()];
  const ready = workers.filter((worker) => worker.state === 'ready');
  const running = [...view.jobs.values()].filter((job) => job.state === 'running');
  if (ready.length === 0) {
    const waiting = running.length > 0 ? `${plural(running.length, 'job waits', 'jobs wait')} for one` : 'none has joined';
    return { grade: running.length > 0 ? 'alarm' : 'notice', text: `No worker is there: ${waiting}.` };
  }
  const failed = [...view.jobs.values()].filter((job) => job.state === 'failed').at(-1);
  if (failed && now_us - (failed.ended_us ?? 0) < RECENT_US) {
    const why = failed.message ? `: ${failed.message.split('\n')[0]}` : '';
    return { grade: 'alarm', text: `The job “${failed.name}” failed${why}` };
  }
  const lost = workers
    .filter((worker) => worker.state === 'lost' && now_us - (worker.left_us ?? 0) < RECENT_US)
    .sort((a, b) => (b.left_us ?? 0) - (a.left_us ?? 0))[0];
  if (lost) {
    const { recomputed } = view.head;
    const again = recomputed > 0 ? ` ${plural(recomputed, 'chunk', 'chunks')} made again so far.` : '';
    const when = ago(now_us - (lost.left_us ?? now_us));
    return { grade: 'notice', text: `${lost.name} was lost ${when}; its work went to the others.${again}` };
  }
  const silent = ready.filter((worker) => worker.status_us !== null && now_us - worker.status_us > SILENT_US);
  if (silent[0]) {
    const since = ago(now_us - (silent[0].status_us ?? 0));
    const others = silent.length > 1 ? ` and ${plural(silent.length - 1, 'other', 'others')}` : '';
    return { grade: 'notice', text: `${silent[0].name}${others} last reported ${since}.` };
  }
  const spilled = ready.reduce((sum, worker) => sum + worker.spilled, 0);
  const all = `${plural(ready.length, 'worker reports', 'workers report')}`;
  if (running.length === 0) return { grade: 'calm', text: `${all}; no job runs.` };
  if (view.failures.length > 0) {
    const errors = [...view.layers.values()].reduce((sum, layer) => sum + layer.errors, 0);
    return { grade: 'calm', text: `${all}; ${plural(errors, 'attempt', 'attempts')} failed and will be tried again.` };
  }
  return { grade: 'calm', text: `${all}; nothing failed${spilled > 0 ? ', some chunks are on disk' : ''}.` };
}

function plural(n: number, one: string, many: string): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}
