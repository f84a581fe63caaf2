/** What is asked again and again while a page is looked at. */
export class Polled<T> {
  value = $state.raw<T | null>(null);
  readonly #ask: () => Promise<T | null>;
  readonly #pause_ms: number;

  constructor(ask: () => Promise<T | null>, pause_ms: number) {
    this.#ask = ask;
    this.#pause_ms = pause_ms;
  }

  /** Begins to ask; what it returns ends that. Nothing is asked while the page is hidden. */
  start(): () => void {
    let isOver = false;
    let timer: ReturnType<typeof setTimeout> | null = null;
    const look = async () => {
      const told = document.visibilityState === 'hidden' ? null : await this.#ask();
      if (isOver) return;
      if (told) this.value = told;
      timer = setTimeout(() => void look(), this.#pause_ms);
    };
    void look();
    return () => {
      isOver = true;
      if (timer) clearTimeout(timer);
    };
  }
}
