import { describe, expect, it } from 'vitest';

import type { Decision, WorkerLife } from '../../src/lib/askworkers';
import { deedOf, phasesOf, stepLine } from '../../src/lib/lives';

const life = (changes: Partial<WorkerLife> = {}): WorkerLife => ({
  k: 0, name: 'worker-1', state: 'ready', wanted_us: null, starting_us: null, joined_us: null, retiring_us: null, ended_us: null, why: null, ...changes,
});

describe('lives', () => {
  it('go from phase to phase until they end', () => {
    const phases = phasesOf(life({ wanted_us: 1, starting_us: 3, joined_us: 7, retiring_us: 20, ended_us: 25 }), 99);
    expect(phases.map((it) => [it.name, it.from_us, it.to_us])).toEqual([['wanted', 1, 3], ['starting', 3, 7], ['ready', 7, 20], ['retiring', 20, 25]]);
  });

  it('go on until now, and have no phase whose time was not told or took none', () => {
    expect(phasesOf(life({ joined_us: 7 }), 30)).toEqual([{ name: 'ready', from_us: 7, to_us: 30 }]);
    expect(phasesOf(life({ wanted_us: 3, starting_us: 3, ended_us: 9 }), 30)).toEqual([{ name: 'starting', from_us: 3, to_us: 9 }]);
    expect(phasesOf(life(), 30)).toEqual([]);
  });
});

describe('a line of steps', () => {
  const steps = [[10, 1], [20, 3], [30, 2]] as const;

  it('holds each number until the next, and the last until the end', () => {
    expect(stepLine(steps, 0, 40)).toEqual([[10, 1], [20, 1], [20, 3], [30, 3], [30, 2], [40, 2]]);
  });

  it('begins with what held before, and ends where the picture does', () => {
    expect(stepLine(steps, 25, 40)).toEqual([[25, 3], [30, 3], [30, 2], [40, 2]]);
    expect(stepLine(steps, 0, 25)).toEqual([[10, 1], [20, 1], [20, 3], [25, 3]]);
    expect(stepLine(steps, 50, 60)).toEqual([[50, 2], [60, 2]]);
    expect(stepLine([], 0, 40)).toEqual([]);
  });
});

describe('decisions', () => {
  const decision = (changes: Partial<Decision> = {}): Decision => ({ at_us: 0, wanted: 2, min: 1, max: 8, start: 0, stay: 0, retire: 0, reason: '', ...changes });

  it('say what is done', () => {
    expect(deedOf(decision({ start: 2 }), undefined)).toBe('start 2');
    expect(deedOf(decision({ start: 1, stay: 1 }), undefined)).toBe('start 1, keep 1 that was to leave');
    expect(deedOf(decision({ stay: 2, retire: 3 }), undefined)).toBe('keep 2 that were to leave, retire 3');
    expect(deedOf(decision({ max: 4 }), decision())).toBe('from 1 to 4');
    expect(deedOf(decision(), decision())).toBe('nothing to do');
  });
});
