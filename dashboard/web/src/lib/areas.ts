/** Amounts over time as areas on top of one another: pure geometry, in pixels. */

/** One amount, in each bucket of time. */
export interface Series {
  key: string;
  text: string;
  /** The class that colours it. */
  look: string;
  values: readonly number[];
}

export interface Plot {
  /** Where each bucket begins, ascending. */
  starts: readonly number[];
  bucket_us: number;
  from_us: number;
  to_us: number;
  width: number;
  height: number;
}

/** How far up and down from the axis a picture reaches. */
export interface Reach {
  top: number;
  below: number;
}

/** The sums of what stands on the axis, bucket by bucket. */
export function sums(series: readonly Series[], count: number): number[] {
  return Array.from({ length: count }, (_, at) => series.reduce((sum, it) => sum + (it.values[at] ?? 0), 0));
}

/**
 * The limit belongs into the picture where it is near enough to matter, or where pictures are compared; else what there
 * is fills the height, and the limit is only said.
 */
export function reach(above: readonly Series[], below: readonly Series[], count: number, limit: number, isCompared = false): Reach {
  const most = Math.max(0, ...sums(above, count));
  const deepest = Math.max(0, ...sums(below, count));
  const top = limit > 0 && (isCompared || most * 5 >= limit) ? Math.max(limit, most) * 1.04 : most * 1.15;
  return { top: top || deepest || 1, below: deepest * 1.1 };
}

/** The pixel of the axis, from the top. */
export function axisAt(height: number, { top, below }: Reach): number {
  return (height * top) / (top + below);
}

/** Each series as a closed path, the first next to the axis. Where buckets are missing, there is a gap. */
export function paths(series: readonly Series[], plot: Plot, scale: Reach, side: 'up' | 'down'): string[] {
  const { starts, bucket_us, from_us, to_us, width, height } = plot;
  const axis = axisAt(height, scale);
  const unit = height / (scale.top + scale.below);
  const sign = side === 'up' ? -1 : 1;
  const x = (us: number) => round(((Math.min(Math.max(us, from_us), to_us) - from_us) / (to_us - from_us)) * width);
  const y = (amount: number) => round(axis + sign * amount * unit);
  const floor = starts.map(() => 0);
  return series.map((it) => {
    let path = '';
    for (const [first, end] of spans(starts, bucket_us)) {
      const there: string[] = [];
      const back: string[] = [];
      for (let at = first; at < end; at += 1) {
        const [left, right] = [x(starts[at] ?? 0), x((starts[at] ?? 0) + bucket_us)];
        const [low, high] = [floor[at] ?? 0, (floor[at] ?? 0) + (it.values[at] ?? 0)];
        there.push(`${left} ${y(high)}`, `${right} ${y(high)}`);
        back.unshift(`${right} ${y(low)}`, `${left} ${y(low)}`);
        floor[at] = high;
      }
      path += `M${there.join('L')}L${back.join('L')}Z`;
    }
    return path;
  });
}

/** A line of steps through amounts above the axis, one in each bucket; with gaps where buckets are missing. */
export function stepPath(amounts: readonly number[], plot: Plot, scale: Reach): string {
  const { starts, bucket_us, from_us, to_us, width, height } = plot;
  const unit = height / (scale.top + scale.below);
  const x = (us: number) => round(((Math.min(Math.max(us, from_us), to_us) - from_us) / (to_us - from_us)) * width);
  const y = (amount: number) => round((scale.top - amount) * unit);
  return spans(starts, bucket_us)
    .map(([first, end]) => {
      const points: string[] = [];
      for (let at = first; at < end; at += 1) {
        const [start, level] = [starts[at] ?? 0, y(amounts[at] ?? 0)];
        points.push(`${x(start)} ${level}`, `${x(start + bucket_us)} ${level}`);
      }
      return `M${points.join('L')}`;
    })
    .join('');
}

/** Buckets that follow each other without a gap: the first, and the one behind the last. */
export function spans(starts: readonly number[], bucket_us: number): [number, number][] {
  const found: [number, number][] = [];
  starts.forEach((start, at) => {
    const open = found.at(-1);
    const before = starts[at - 1];
    if (open && before !== undefined && start - before <= bucket_us * 1.5) open[1] = at + 1;
    else found.push([at, at + 1]);
  });
  return found;
}

/** The bucket nearest to a place between 0 and 1 across the picture. */
export function nearest(plot: Plot, across: number): number {
  const us = plot.from_us + across * (plot.to_us - plot.from_us) - plot.bucket_us / 2;
  let best = 0;
  plot.starts.forEach((start, at) => {
    if (Math.abs(start - us) < Math.abs((plot.starts[best] ?? 0) - us)) best = at;
  });
  return best;
}

function round(pixels: number): number {
  return Math.round(pixels * 10) / 10;
}
