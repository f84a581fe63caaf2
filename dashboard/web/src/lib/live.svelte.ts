import { ClusterClock, type Clock } from './clock';
import { FORMAT_VERSION, type Frame } from './frame';
import { openStream } from './stream';
import { nextView, type View } from './view';

export type Link = 'connecting' | 'live' | 'quiet' | 'lost' | 'outdated' | 'replay';

/** What pages look at: a cluster that runs, or a run that is over. */
export interface Watched {
  readonly view: View | null;
  readonly link: Link;
  readonly clock: Clock;
  /** How long the run is; `null` for a cluster. */
  readonly span_us: number | null;
}

/** Frames come at least once a second; after this long without one, the page says so. */
const QUIET_MS = 3_500;

/** After this long without one, the connection is given up and made anew. */
const DEAD_MS = 12_000;

const RETRY_MIN_MS = 400;
const RETRY_MAX_MS = 5_000;

/** Follows the cluster, reconnecting for as long as the page is open. */
export class Live implements Watched {
  view = $state.raw<View | null>(null);
  link = $state<Link>('connecting');
  readonly clock = new ClusterClock();
  readonly span_us = null;

  #close: (() => void) | null = null;
  #retry_ms = RETRY_MIN_MS;
  #heard_ms = performance.now();
  #timers = new Set<ReturnType<typeof setTimeout>>();
  #watch: ReturnType<typeof setInterval> | null = null;

  start(): () => void {
    this.#connect();
    this.#watch = setInterval(() => this.#look(), 500);
    const wake = () => document.visibilityState === 'visible' && this.#look();
    document.addEventListener('visibilitychange', wake);
    return () => {
      document.removeEventListener('visibilitychange', wake);
      if (this.#watch) clearInterval(this.#watch);
      this.#timers.forEach(clearTimeout);
      this.#close?.();
    };
  }

  #connect(): void {
    this.#heard_ms = performance.now();
    this.#close = openStream('', {
      onframe: (frame) => typeof frame === 'string' && this.#take(frame),
      onend: () => this.#again(),
    });
  }

  #take(text: string): void {
    const now_ms = performance.now();
    const view = nextView(this.view, parse(text));
    if (typeof view === 'string') {
      this.#close?.();
      this.#close = null;
      if (view === 'version') {
        // The server was replaced by another release: reloading fetches the page that belongs to it.
        this.link = 'outdated';
      } else {
        this.#again();
      }
      return;
    }
    if (this.link !== 'live' && this.link !== 'quiet') this.clock.reset();
    this.clock.hear(view.head.now_us, now_ms);
    this.#heard_ms = now_ms;
    this.#retry_ms = RETRY_MIN_MS;
    this.view = view;
    this.link = 'live';
  }

  #again(): void {
    this.#close = null;
    if (this.link === 'outdated') return;
    this.link = 'lost';
    const jitter = 0.75 + Math.random() / 2;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#connect();
    }, this.#retry_ms * jitter);
    this.#timers.add(timer);
    this.#retry_ms = Math.min(this.#retry_ms * 1.7, RETRY_MAX_MS);
  }

  #look(): void {
    if (this.#close === null) return;
    const silent_ms = performance.now() - this.#heard_ms;
    if (silent_ms > DEAD_MS) {
      this.#close();
      this.#again();
    } else if (silent_ms > QUIET_MS && this.link === 'live') {
      this.link = 'quiet';
    }
  }
}

function parse(text: string): Frame {
  try {
    return JSON.parse(text) as Frame;
  } catch {
    return { v: FORMAT_VERSION, kind: 'malformed' } as unknown as Frame;
  }
}
