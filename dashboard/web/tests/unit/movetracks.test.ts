import { describe, expect, it } from 'vitest';

import type { MoveSpan } from '../../src/lib/ask';
import { moveAt, TRACK_HEIGHT, trackRows } from '../../src/lib/movetracks';

const move = (kind: MoveSpan['class'], began_us: number, worker = 1): MoveSpan => ({ worker, class: kind, began_us, ended_us: began_us + 100, bytes: 9 });
const tracks = [{ worker: 0, y: 20 }, { worker: 1, y: 60 }];
const moves = [move('peer', 0), move('source', 500), move('spill', 0), move('peer', 0, 0)];
const both = { transfers: true, disk: true };

describe('tracks below the slots', () => {
  it('are as many as are shown', () => {
    expect(trackRows(both)).toEqual(['transfers', 'disk']);
    expect(trackRows({ transfers: false, disk: true })).toEqual(['disk']);
    expect(trackRows({ transfers: false, disk: false })).toEqual([]);
  });

  it('tell what was moved at a place', () => {
    expect(moveAt(tracks, moves, both, 61, 50, 0)).toBe(moves[0]);
    expect(moveAt(tracks, moves, both, 61 + TRACK_HEIGHT, 50, 0)).toBe(moves[2]);
    expect(moveAt(tracks, moves, both, 21, 50, 0)).toBe(moves[3]);
    expect(moveAt(tracks, moves, both, 61, 480, 30)).toBe(moves[1]);
    expect(moveAt(tracks, moves, both, 61, 300, 30)).toBeNull();
    expect(moveAt(tracks, moves, both, 40, 50, 0)).toBeNull();
  });

  it('move up where one of them is hidden', () => {
    expect(moveAt(tracks, moves, { transfers: false, disk: true }, 61, 50, 0)).toBe(moves[2]);
  });
});
