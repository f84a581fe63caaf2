import type { MoveClass, MoveSpan } from './ask';
import type { Key } from './frame';

/** Which movements are drawn. */
export interface Shown {
  transfers: boolean;
  disk: boolean;
}

/** The place below a worker's slots. */
export interface Track {
  worker: Key;
  y: number;
}

export interface MoveScene {
  tracks: readonly Track[];
  moves: readonly MoveSpan[];
  shown: Shown;
  left: number;
  width: number;
  tokens: { accent: string; notice: string };
}

/** Of one of the two tracks. */
export const TRACK_HEIGHT = 5;

export const MOVE_WORDS: Record<MoveClass, string> = {
  peer: 'from workers',
  source: 'from outside',
  spill: 'to disk',
  read_back: 'back from disk',
};

const ROW_OF: Record<MoveClass, keyof Shown> = { peer: 'transfers', source: 'transfers', spill: 'disk', read_back: 'disk' };

/** The tracks that are drawn, from top to bottom. */
export function trackRows(shown: Shown): (keyof Shown)[] {
  return (['transfers', 'disk'] as const).filter((row) => shown[row]);
}

/** Movements below the slots: whole bars come from workers or go to disk, thin ones come from outside or from disk. */
export function paintMoves(context: CanvasRenderingContext2D, scene: MoveScene, xAt: (at_us: number) => number): void {
  const rows = trackRows(scene.shown);
  const trackOf = new Map(scene.tracks.map((track) => [track.worker, track]));
  for (const move of scene.moves) {
    const track = trackOf.get(move.worker);
    const row = rows.indexOf(ROW_OF[move.class]);
    if (!track || row < 0) continue;
    const [x, right] = [xAt(move.began_us), xAt(move.ended_us)];
    if (right < scene.left || x > scene.width) continue;
    const isThin = move.class === 'source' || move.class === 'read_back';
    const height = isThin ? 1.5 : TRACK_HEIGHT - 1;
    context.fillStyle = ROW_OF[move.class] === 'transfers' ? scene.tokens.accent : scene.tokens.notice;
    context.fillRect(x, track.y + row * TRACK_HEIGHT + (TRACK_HEIGHT - 1 - height) / 2, Math.max(1, right - x), height);
  }
}

/** The movement at a place, or the nearest within `slack_us`. */
export function moveAt(tracks: readonly Track[], moves: readonly MoveSpan[], shown: Shown, y: number, at_us: number, slack_us: number): MoveSpan | null {
  const rows = trackRows(shown);
  const track = tracks.find((it) => y >= it.y && y < it.y + rows.length * TRACK_HEIGHT);
  const row = track && rows[Math.floor((y - track.y) / TRACK_HEIGHT)];
  if (!track || !row) return null;
  const distance = (move: MoveSpan) => Math.max(0, move.began_us - at_us, at_us - move.ended_us);
  const near = moves.filter((move) => move.worker === track.worker && ROW_OF[move.class] === row && distance(move) <= slack_us);
  return near.reduce<MoveSpan | null>((best, move) => (best && distance(best) <= distance(move) ? best : move), null);
}
