/** How fast a run is played, and the picture below the scrubber. */

/** Times as fast as it was. */
export const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000] as const;

/** A run is played within this time, unless another speed is chosen. */
const PLAY_US_MAX = 20e6;
/** What takes less or more than this when played is not offered. */
const OFFERED_US = [2e6, 600e6] as const;

/** As fast as it was, or as much faster as it takes to see all of it soon. */
export function speedFor(span_us: number): number {
  return SPEEDS.find((speed) => speed >= 1 && span_us / speed <= PLAY_US_MAX) ?? SPEEDS.at(-1)!;
}

/** The speeds that make sense for a run, the one that it starts with among them. */
export function speedsFor(span_us: number): number[] {
  const [least, most] = OFFERED_US;
  return SPEEDS.filter((speed) => speed === speedFor(span_us) || (span_us / speed >= least && span_us / speed <= most));
}

/** How many tasks ran on average in each of `parts` equal parts of a span. */
export function busyBuckets(started: ArrayLike<number>, ended: ArrayLike<number>, span_us: number, parts: number): number[] {
  const width = Math.max(1, span_us) / parts;
  // What runs through whole parts is told by where it begins and ends; a long task costs no more than a short one.
  const whole = new Float64Array(parts + 1);
  const part = new Float64Array(parts);
  for (let row = 0; row < started.length; row += 1) {
    const [from, to] = [Math.max(0, started[row]!), Math.min(span_us, ended[row]!)];
    if (to <= from) continue;
    const [first, last] = [Math.min(parts - 1, Math.floor(from / width)), Math.min(parts - 1, Math.floor(to / width))];
    if (first === last) part[first]! += (to - from) / width;
    else {
      part[first]! += first + 1 - from / width;
      part[last]! += to / width - last;
      whole[first + 1]! += 1;
      whole[last]! -= 1;
    }
  }
  let through = 0;
  return Array.from(part, (value, at) => {
    through += whole[at]!;
    return value + through;
  });
}

/** An area over the parts, as the path of an SVG of `width` by `height`. */
export function areaPath(parts: readonly number[], width: number, height: number): string {
  const most = Math.max(...parts, Number.MIN_VALUE);
  const step = width / Math.max(1, parts.length);
  const steps = parts.map((value, at) => {
    const y = (height * (1 - value / most)).toFixed(1);
    return `L${(at * step).toFixed(1)} ${y}L${((at + 1) * step).toFixed(1)} ${y}`;
  });
  return `M0 ${height}${steps.join('')}L${width} ${height}Z`;
}
