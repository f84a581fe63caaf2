import { ClusterClock } from './clock';
import type { Frame } from './frame';
import { nextView, type View } from './view';

export type Link = 'connecting' | 'live' | 'quiet' | 'lost' | 'outdated';

/** Frames come at least once a second; after this long without one, the page says so. */
const QUIET_MS = 3_500;

/** After this long without one, the connection is given up and made anew. */
const DEAD_MS = 12_000;

const RETRY_MIN_MS = 400;
const RETRY_MAX_MS = 5_000;

/** Sockets that never opened, after which server-sent events are tried as well. */
const SOCKET_FAILURES_MAX = 2;

/** Follows the cluster, reconnecting for as long as the page is open. */
export class Live {
  view = $state.raw<View | null>(null);
  link = $state<Link>('connecting');
  readonly clock = new ClusterClock();

  #close: (() => void) | null = null;
  #retry_ms = RETRY_MIN_MS;
  #socketFailures = 0;
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
    this.#close = this.#socketFailures > SOCKET_FAILURES_MAX && this.#socketFailures % 2 === 1 ? this.#openEvents() : this.#openSocket();
  }

  #openSocket(): () => void {
    const address = new URL('api/live', document.baseURI);
    address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(address);
    socket.onopen = () => (this.#socketFailures = 0);
    socket.onmessage = (event) => this.#take(event.data as string);
    socket.onclose = () => {
      if (this.#close !== close) return;
      if (this.link === 'connecting' || this.link === 'lost') this.#socketFailures += 1;
      this.#again();
    };
    const close = () => socket.close();
    return close;
  }

  #openEvents(): () => void {
    const events = new EventSource(new URL('api/events', document.baseURI));
    events.onmessage = (event) => this.#take(event.data as string);
    events.onerror = () => {
      if (this.#close !== close) return;
      this.#socketFailures += 1;
      events.close();
      this.#again();
    };
    const close = () => events.close();
    return close;
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
    return { v: 1, kind: 'malformed' } as unknown as Frame;
  }
}
