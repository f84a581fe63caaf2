/** Where slots' time went: the columns of the server, in words. */
export const USES = [
  { name: 'compute', text: 'computing', explains: 'kernels of operations' },
  { name: 'function', text: 'in functions', explains: "functions of one's own" },
  { name: 'data', text: 'waiting for data', explains: 'from workers and from outside' },
  { name: 'disk', text: 'waiting for disks', explains: 'spilled chunks, and room for new ones' },
  { name: 'scheduler', text: 'between tasks', explains: 'a task was given and had not begun to fetch' },
  { name: 'starved', text: 'starved', explains: 'a job ran, and no task was ready' },
  { name: 'none', text: 'no work', explains: 'no job ran' },
] as const;

export interface UseShare {
  index: number;
  us: number;
  share: number;
}

/** Columns as shares of their sum, those with anything in them. */
export function shares(used: readonly number[]): UseShare[] {
  const sum = used.reduce((all, us) => all + us, 0);
  return used.map((us, index) => ({ index, us, share: sum > 0 ? us / sum : 0 })).filter((it) => it.us > 0);
}

/** Shares in percent with one digit that add up to 100.0: what is left by rounding goes to the largest remainders. */
export function percents(used: readonly number[]): string[] {
  const sum = used.reduce((all, us) => all + us, 0);
  if (sum <= 0) return used.map(() => '0');
  const exact = used.map((us) => (us / sum) * 1_000);
  const whole = exact.map(Math.floor);
  const missing = 1_000 - whole.reduce((all, it) => all + it, 0);
  const order = exact.map((it, at) => [it - (whole[at] ?? 0), at] as const).sort((a, b) => b[0] - a[0]);
  for (const [, at] of order.slice(0, missing)) whole[at] = (whole[at] ?? 0) + 1;
  return whole.map((it) => (it / 10).toFixed(1));
}

/** Neighbouring buckets together, so that there are at most `count`. */
export function thinned(buckets: readonly (readonly number[])[], count: number): number[][] {
  const step = Math.max(1, Math.ceil(buckets.length / count));
  const thin: number[][] = [];
  for (let at = 0; at < buckets.length; at += step) {
    const sums = USES.map(() => 0);
    for (const bucket of buckets.slice(at, at + step)) bucket.forEach((us, column) => (sums[column] = (sums[column] ?? 0) + us));
    thin.push(sums);
  }
  return thin;
}
