import { askOutline } from './ask';
import { CellStore } from './cells';
import type { Key, Outline } from './frame';
import { playing, watchFilm } from './playing';
import { openStream } from './stream';

const RETRY_MIN_MS = 300;
const RETRY_MAX_MS = 4_000;

/** Follows the arrays of one job for as long as somebody looks at them. */
export class ArrayFeed {
  readonly store = new CellStore();
  outline = $state.raw<Outline | null>(null);
  /** Rises with each frame, so that what is drawn from the store is drawn anew. */
  tick = $state(0);
  isLive = $state(false);

  /** Begins to follow; returns how to stop. */
  follow(job: Key): () => void {
    return playing() ? this.#project(job) : this.#listen(job);
  }

  /** As a run that is replayed has them, at the time that it shows. */
  #project(job: Key): () => void {
    const show = () => {
      const film = playing();
      if (!film) return;
      film.project(job, this.store);
      this.tick += 1;
    };
    this.outline = playing()?.outline(job) ?? null;
    this.isLive = true;
    show();
    return watchFilm(show);
  }

  #listen(job: Key): () => void {
    let isOver = false;
    let close: (() => void) | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let retry_ms = RETRY_MIN_MS;
    this.outline = null;
    this.isLive = false;
    this.store.arrays.clear();
    const again = () => {
      this.isLive = false;
      if (isOver) return;
      timer = setTimeout(open, retry_ms);
      retry_ms = Math.min(retry_ms * 1.7, RETRY_MAX_MS);
    };
    const open = () => {
      if (!this.outline) {
        void askOutline(job).then((outline) => {
          if (!isOver && outline) this.outline = outline;
        });
      }
      close = openStream(`arrays/${job}`, {
        onframe: (frame) => {
          if (isOver || typeof frame === 'string') return;
          const taken = this.store.apply(frame);
          if (taken !== 'ok') {
            close?.();
            return again();
          }
          retry_ms = RETRY_MIN_MS;
          this.isLive = true;
          this.tick += 1;
        },
        onend: again,
      });
    };
    open();
    return () => {
      isOver = true;
      clearTimeout(timer);
      close?.();
    };
  }
}
