/** Numbers for people. Figures keep their width as they change, so that nothing on the page jumps. */

/** A space at which no line breaks. */
const SPACE = '\u00a0';
const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0, useGrouping: true });

/** `12 345`: groups of three. */
export function count(value: number): string {
  return grouped.format(value).replaceAll(',', SPACE);
}

/** Three significant figures, in binary units: `1.25 GiB`. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let unit = 0;
  let scaled = value;
  // Not 1024: a value that would be shown as 1000 or more is shown in the next unit.
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2;
  return `${scaled.toFixed(digits)}${SPACE}${units[unit]}`;
}

/** Tasks a second. */
export function rate(value: number): string {
  if (value <= 0) return '0';
  if (value < 0.1) return `${(value * 60).toFixed(1)}/min`;
  return `${value < 9.95 ? value.toFixed(1) : count(value)}/s`;
}

/** A length of time that was measured: `850 µs`, `12.4 ms`, `1.25 s`, `2 min 05 s`. */
export function duration(us: number): string {
  if (us < 999.5) return `${us.toFixed(0)}${SPACE}µs`;
  if (us < 999_500) return `${(us / 1e3).toFixed(us < 99_950 ? 1 : 0)}${SPACE}ms`;
  if (us < 59_950_000) return `${(us / 1e6).toFixed(us < 9_995_000 ? 2 : 1)}${SPACE}s`;
  const seconds = Math.round(us / 1e6);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}${SPACE}min${SPACE}${pad(seconds % 60)}${SPACE}s`;
  return `${Math.floor(seconds / 3_600)}${SPACE}h${SPACE}${pad(Math.floor(seconds / 60) % 60)}${SPACE}min`;
}

/** A clock that runs: `0:42`, `1:02:03`. */
export function elapsed(us: number): string {
  const seconds = Math.max(0, Math.floor(us / 1e6));
  const [h, m, s] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}

/** What is left, no more exact than it is known: `~8 s`, `~3 min`, `~2 h`. */
export function remaining(seconds: number): string {
  if (seconds < 1) return '<1 s'.replace(' ', SPACE);
  if (seconds < 90) return `~${Math.ceil(seconds)}${SPACE}s`;
  if (seconds < 5_400) return `~${Math.round(seconds / 60)}${SPACE}min`;
  if (seconds < 172_800) return `~${Math.round(seconds / 3_600)}${SPACE}h`;
  return `~${Math.round(seconds / 86_400)}${SPACE}d`;
}

/** `12 s ago`. */
export function ago(us: number): string {
  const seconds = Math.max(0, Math.round(us / 1e6));
  if (seconds < 60) return `${seconds}${SPACE}s ago`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}${SPACE}min ago`;
  return `${Math.floor(seconds / 3_600)}${SPACE}h ago`;
}

/** A share in percent that says 100 only when all is there. */
export function percent(part: number, whole: number): string {
  if (whole <= 0) return '0%';
  const value = Math.floor((part / whole) * 100);
  return `${part < whole ? Math.min(value, 99) : 100}%`;
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}
