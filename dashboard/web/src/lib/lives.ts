/** Workers' lives as bars, and the decisions on their number in words. */

import type { Decision, LifeEvent, LifeState, WorkerLife } from './askworkers';

export const STATE_TEXTS: Record<LifeState, string> = {
  starting: 'starting',
  ready: 'ready',
  retiring: 'retiring',
  retired: 'retired',
  lost: 'lost',
  failed: 'did not come',
};

export type PhaseName = 'wanted' | 'starting' | 'ready' | 'retiring';

export interface Phase {
  name: PhaseName;
  from_us: number;
  to_us: number;
}

/** What a worker went through until `now_us`; times that were not told make no phase. */
export function phasesOf(life: WorkerLife, now_us: number): Phase[] {
  const end = life.ended_us ?? now_us;
  const begins: [PhaseName, number | null][] = [
    ['wanted', life.wanted_us],
    ['starting', life.starting_us],
    ['ready', life.joined_us],
    ['retiring', life.retiring_us],
  ];
  const told = begins.filter((it): it is [PhaseName, number] => it[1] !== null && it[1] <= end);
  return told.map(([name, from_us], at) => ({ name, from_us, to_us: told[at + 1]?.[1] ?? end })).filter((it) => it.to_us > it.from_us);
}

/** Steps that hold until the next: the points of a line, from `from_us` to `to_us`. */
export function stepLine(steps: readonly (readonly [number, number])[], from_us: number, to_us: number): [number, number][] {
  const line: [number, number][] = [];
  let amount: number | null = null;
  for (const [at_us, next] of steps) {
    if (at_us > to_us) break;
    const at = Math.max(at_us, from_us);
    if (amount !== null) line.push([at, amount]);
    if (at_us < from_us) line.length = 0;
    line.push([at, next]);
    amount = next;
  }
  if (amount !== null) line.push([to_us, amount]);
  return line;
}

/** What a decision changed, in words. */
export function deedOf(decision: Decision, before: Decision | undefined): string {
  const deeds: string[] = [];
  if (decision.start > 0) deeds.push(`start ${decision.start}`);
  if (decision.stay > 0) deeds.push(`keep ${decision.stay} that ${decision.stay === 1 ? 'was' : 'were'} to leave`);
  if (decision.retire > 0) deeds.push(`retire ${decision.retire}`);
  if (deeds.length > 0) return deeds.join(', ');
  if (before && (before.min !== decision.min || before.max !== decision.max)) return `from ${decision.min} to ${decision.max}`;
  return 'nothing to do';
}

export const EVENT_TEXTS: Record<LifeEvent['kind'], string> = {
  wanted: 'one more was wanted',
  starting: 'started',
  joined: 'joined',
  retiring: 'is to leave',
  stays: 'stays after all',
  retired: 'left in order',
  lost: 'was lost',
};
