/** The part of the timeline that is shown. */
export interface Viewport {
  from_us: number;
  to_us: number;
}

/** The least that is shown: a microsecond is not of interest. */
const SPAN_MIN_US = 500;
/** How far one may look past both ends, in parts of what is shown. */
const SLACK = 0.5;

/** Keeps a part of what there is in sight. */
export function clamped({ from_us, to_us }: Viewport, end_us: number): Viewport {
  const whole = Math.max(end_us, 1_000_000);
  const span = Math.min(Math.max(to_us - from_us, SPAN_MIN_US), whole * (1 + SLACK));
  const middle = (from_us + to_us) / 2;
  const least = -span * SLACK;
  const from = Math.min(Math.max(middle - span / 2, least), Math.max(least, end_us - span * (1 - SLACK)));
  return { from_us: from, to_us: from + span };
}

/** Shows `factor` times as much time; what is at `at_us` stays where it is. */
export function zoomed({ from_us, to_us }: Viewport, factor: number, at_us: number): Viewport {
  return { from_us: at_us - (at_us - from_us) * factor, to_us: at_us + (to_us - at_us) * factor };
}

/** Goes on by a part of what is shown. */
export function panned({ from_us, to_us }: Viewport, part: number): Viewport {
  const step = (to_us - from_us) * part;
  return { from_us: from_us + step, to_us: to_us + step };
}

/** Times for a ruler, 1, 2 or 5 times a power of ten apart, at least `least` pixels from each other. */
export function rulerTimes({ from_us, to_us }: Viewport, width: number, least = 90): { step_us: number; times: number[] } {
  const wanted = ((to_us - from_us) / Math.max(1, width)) * least;
  const power = 10 ** Math.floor(Math.log10(Math.max(1, wanted)));
  const seconds = [1, 2, 5, 10].map((n) => n * power).find((it) => it >= wanted) ?? power * 10;
  // Above a minute people count in minutes.
  const step_us = wanted > 30e6 ? ([60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400].map((s) => s * 1e6).find((it) => it >= wanted) ?? seconds) : seconds;
  const times = [];
  for (let at = Math.ceil(Math.max(0, from_us) / step_us) * step_us; at <= to_us; at += step_us) times.push(at);
  return { step_us, times };
}

/** A time on the ruler, no finer than its steps. */
export function timeText(at_us: number, step_us: number): string {
  const digits = step_us >= 1e6 ? 0 : Math.min(6, Math.ceil(-Math.log10(step_us / 1e6)));
  const [seconds, minutes, hours] = [(at_us / 1e6) % 60, Math.floor(at_us / 60e6) % 60, Math.floor(at_us / 3_600e6)];
  const tail = seconds.toFixed(digits).padStart(digits > 0 ? 3 + digits : 2, '0');
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${tail}` : `${minutes}:${tail}`;
}
