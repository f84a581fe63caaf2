/**
 * Colours of operations. The hues are those of an old map: sea, ochre, teal, lilac, umber. They were chosen so that
 * any two differ to eyes with protanopia, deuteranopia and tritanopia as well, on paper and on the dark ground (a
 * test holds that), and none is the red that means failure.
 */
export const PALETTE: readonly { light: string; dark: string }[] = [
  { light: '#286ea4', dark: '#5195ce' },
  { light: '#bf7c0c', dark: '#e39e40' },
  { light: '#4a99a8', dark: '#7eccdb' },
  { light: '#897dd9', dark: '#aa9ffe' },
  { light: '#5f4106', dark: '#8b6c38' },
  { light: '#4f3387', dark: '#785fb7' },
  { light: '#a4856f', dark: '#d7b69f' },
  { light: '#254e5a', dark: '#4f7985' },
  { light: '#766747', dark: '#9d8d6c' },
];

/** The colours that names ask for; the others come into play when these are taken. */
const ASKED_COUNT = 6;

export type Theme = 'light' | 'dark';

/** How an operation is drawn: a colour, and stripes once there are more operations than colours. */
export interface Ink {
  index: number;
  striped: boolean;
}

/**
 * Inks for `names`. Each name asks for the colour that its hash picks, so that it has the same one on every page
 * and in every run; where that is taken by a name before it, the next free one.
 */
export function inks(names: Iterable<string>): Map<string, Ink> {
  const given = new Map<string, Ink>();
  const taken = new Set<number>();
  for (const name of names) {
    if (given.has(name)) continue;
    const striped = taken.size >= PALETTE.length;
    const limit = striped || taken.size >= ASKED_COUNT ? PALETTE.length : ASKED_COUNT;
    let index = hash(name) % limit;
    // The first six are taken before any of the others, so `taken` has room within `limit`.
    while (!striped && taken.has(index)) index = (index + 1) % limit;
    taken.add(index);
    given.set(name, { index, striped });
  }
  return given;
}

export function colour(ink: Ink | undefined, theme: Theme): string {
  return PALETTE[ink?.index ?? 0]?.[theme] ?? '#888888';
}

/** FNV-1a over the name's UTF-16 units. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  }
  return (value ^ (value >>> 15)) >>> 0;
}
