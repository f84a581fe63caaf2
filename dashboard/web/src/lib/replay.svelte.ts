import { fetchFilm } from './ask';
import { FilmError } from './filmerror';
import type { Player } from './player.svelte';
import { play } from './playing';
import type { RunKey } from './runs';

/** The run that is replayed in place of the cluster, or why it is not. */
export class Replay {
  player = $state.raw<Player | null>(null);
  /** What moves it; there with the player. */
  Scrubber = $state.raw<typeof import('./replaying').Scrubber | null>(null);
  failure = $state<string | null>(null);
  #wanted = 0;

  /** Opens a run of the server's history. */
  open(run: RunKey): Promise<void> {
    return this.#show(async () => {
      const told = await fetchFilm(run);
      if (typeof told === 'string') throw new FilmError(told);
      return told;
    });
  }

  /** Opens the film that a report has inside. */
  openReport(film: string): Promise<void> {
    return this.#show(async () => unpacked(film));
  }

  /** Shows the cluster again. */
  close(): void {
    this.#wanted += 1;
    this.player = null;
    this.failure = null;
    play(null);
  }

  async #show(read: () => Promise<Uint8Array<ArrayBuffer>>): Promise<void> {
    this.close();
    const wanted = this.#wanted;
    try {
      const [{ Player, Scrubber }, film] = await Promise.all([replaying(), read()]);
      const player = await Player.open(film);
      if (wanted !== this.#wanted) return;
      play(player);
      this.Scrubber = Scrubber;
      this.player = player;
    } catch (error) {
      if (wanted !== this.#wanted) return;
      this.failure = error instanceof FilmError ? error.message : `This run is damaged (${String(error)}). Copy the file again.`;
    }
  }
}

/** The part of the page that shows runs. */
async function replaying() {
  try {
    return await import('./replaying');
  } catch {
    throw new FilmError('The part of the page that shows runs did not come: the cluster does not answer, or now runs another release. Reload the page.');
  }
}

/** Bytes from base64. */
function unpacked(film: string): Uint8Array<ArrayBuffer> {
  let text: string;
  try {
    text = atob(film.trim());
  } catch {
    throw new FilmError('This report is damaged: what is in it cannot be read. Copy the file again.');
  }
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  return bytes;
}
