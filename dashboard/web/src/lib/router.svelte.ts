/**
 * Which page is shown: the part of the address behind `#`, so that it works below any prefix, behind any proxy and from
 * a file.
 */
export const PAGES = ['overview', 'array', 'expression', 'timeline', 'workers', 'memory', 'scaling', 'communication', 'insights', 'task', 'worker'] as const;

export type PageName = (typeof PAGES)[number];

export interface Route {
  page: PageName;
  /** What of it: keys of rows, or a block. */
  parts: readonly number[];
}

/** `#/array/3/17` is the page `array` of 3 and 17; what makes no sense is the overview. */
export function parseRoute(hash: string): Route {
  const [name = '', ...rest] = hash.replace(/^#?\/?/, '').split('/');
  const page = PAGES.find((it) => it === name) ?? 'overview';
  const parts = rest.filter((part) => /^\d{1,15}$/.test(part)).map(Number);
  return { page, parts: page === name ? parts : [] };
}

/** The address of a page. */
export function addressOf(page: PageName, ...parts: number[]): string {
  return `#/${[page === 'overview' ? '' : page, ...parts].join('/')}`;
}

export class Router {
  route = $state.raw<Route>(parseRoute(location.hash));

  start(): () => void {
    const follow = () => (this.route = parseRoute(location.hash));
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }
}
