import { askLines } from './ask';
import { merged, SHOWN_MAX, type LinesTold, type LogFilter, type LogLine } from './logs';
import { lookAgain, playing } from './playing';

const PAUSE_MS = 1_000;

/** The end of the log, which grows while it is looked at. */
export class LogTail {
  lines = $state.raw<LogLine[]>([]);
  told = $state.raw<LinesTold | null>(null);
  /** What is asked about is not known, or nobody answers. */
  isUnanswered = $state(false);
  /** From where older lines are asked. */
  before = $state<number | null>(null);
  /** When the cluster began, by this machine's clock. */
  start_ms = $state(0);
  /** Lines that came since the first answer. */
  cameCount = $state(0);
  readonly #filter: LogFilter;
  #isOver = false;
  /** Grows with what is asked for. */
  #count_max = SHOWN_MAX;

  constructor(filter: LogFilter) {
    this.#filter = filter;
  }

  /** Begins to ask; what it returns ends that. Nothing is asked while the page is hidden. */
  start(): () => void {
    const stop = lookAgain(() => this.#look(), PAUSE_MS);
    return () => {
      this.#isOver = true;
      stop();
    };
  }

  async #look(): Promise<void> {
    const film = playing();
    // A run that is replayed may be shown at a time before.
    const latest = film ? null : this.told;
    const told = await askLines(this.#filter, latest ? { after: latest.next } : {});
    if (this.#isOver) return;
    this.isUnanswered = told === null;
    if (!told) return;
    if (!latest || told.next < latest.next) {
      // The first answer, or that of a scheduler that began anew.
      this.before = told.before;
      this.start_ms = film?.began_ms ?? Date.now() - told.now_us / 1_000;
      this.lines = merged([], told.lines, this.#count_max);
    } else if (told.lines.length > 0) {
      const all = this.lines.length + told.lines.length;
      this.lines = merged(this.lines, told.lines, this.#count_max);
      // What had to go can be asked for again.
      if (all > this.#count_max) this.before = this.lines.reduce((first, line) => Math.min(first, line.seq), Infinity);
      this.cameCount += told.lines.length;
    }
    this.told = told;
  }

  async older(): Promise<void> {
    if (this.before === null) return;
    const told = await askLines(this.#filter, { before: this.before });
    if (this.#isOver || !told) return;
    this.before = told.before;
    this.#count_max = Math.max(SHOWN_MAX, this.lines.length + told.lines.length);
    this.lines = merged(this.lines, told.lines, this.#count_max);
  }
}
