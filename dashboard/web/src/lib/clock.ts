/** What tells the cluster's time. */
export interface Clock {
  /** The cluster's time at `page_ms` of the page's clock. */
  now_us(page_ms: number): number;
}

/**
 * The cluster's time, between frames. A frame says what time it was when it was made; it comes late by what the
 * way took, and never early. So the frame that came with the least delay knows best, and is believed until the two
 * clocks could have drifted.
 */
export class ClusterClock implements Clock {
  #offset_us = Number.NEGATIVE_INFINITY;

  /** Forgets what was heard: another cluster may answer now. */
  reset(): void {
    this.#offset_us = Number.NEGATIVE_INFINITY;
  }

  /** Takes in that a frame made at `now_us` came at `received_ms` of the page's clock. */
  hear(now_us: number, received_ms: number): void {
    const sample = now_us - received_ms * 1_000;
    const isJump = Math.abs(sample - this.#offset_us) > 5_000_000;
    this.#offset_us = isJump ? sample : Math.max(sample, this.#offset_us - 500);
  }

  /** The cluster's time at `page_ms` of the page's clock. */
  now_us(page_ms: number): number {
    return Number.isFinite(this.#offset_us) ? page_ms * 1_000 + this.#offset_us : 0;
  }
}
