import { lookAgain } from './playing';

/** What is asked again and again while a page is looked at. */
export class Polled<T> {
  value = $state.raw<T | null>(null);
  /** Whether the latest question had no answer: it is not known, or nobody answers. */
  isUnanswered = $state(false);
  readonly #ask: () => Promise<T | null>;
  readonly #pause_ms: number;

  constructor(ask: () => Promise<T | null>, pause_ms: number) {
    this.#ask = ask;
    this.#pause_ms = pause_ms;
  }

  /** Begins to ask; what it returns ends that. Nothing is asked while the page is hidden. */
  start(): () => void {
    let isOver = false;
    const stop = lookAgain(async () => {
      const told = await this.#ask();
      if (isOver) return;
      if (told) this.value = told;
      this.isUnanswered = told === null;
    }, this.#pause_ms);
    return () => {
      isOver = true;
      stop();
    };
  }
}
