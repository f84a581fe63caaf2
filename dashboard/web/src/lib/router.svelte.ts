/**
 * Which page is shown: the part of the address behind `#`, so that it works below any prefix, behind any proxy and from
 * a file.
 */
export const PAGES = [
  'overview', 'array', 'expression', 'timeline', 'workers', 'memory', 'scaling', 'communication', 'insights', 'logs', 'runs', 'task', 'worker',
] as const;

export type PageName = (typeof PAGES)[number];

/** The pages that a run is replayed on. */
export const REPLAYED: readonly PageName[] = [
  'overview', 'array', 'expression', 'timeline', 'workers', 'memory', 'scaling', 'communication', 'insights', 'logs', 'task', 'worker',
];

/** Those among them of which runs of releases of before know nothing. */
export const KEPT_SINCE_2: readonly PageName[] = ['workers', 'memory', 'scaling', 'communication', 'insights', 'logs', 'worker'];

export interface Route {
  page: PageName;
  /** What of it: keys of rows, or a block. */
  parts: readonly number[];
  /** The key of the run that is replayed, if it is not the cluster itself. */
  run?: number;
  /** Whether the page is a panel in somebody else's frame: without what leads to other pages. */
  embedded?: true;
}

/** What stands before pages in addresses, the run that is replayed, and behind them, so that a panel stays one. */
let base = '';
let tail = '';

/** `#/array/3/17` is the page `array` of 3 and 17, with `?embedded` as a panel; what makes no sense is the overview. */
export function parseRoute(address: string): Route {
  const [hash = '', query] = address.split('?');
  const [, run, path = ''] = /^#?\/?(?:run\/(\d{1,10})(?:\/|$))?(.*)$/.exec(hash) ?? [];
  const [name = '', ...rest] = path.split('/');
  const page = PAGES.find((it) => it === name) ?? 'overview';
  const parts = rest.filter((part) => /^\d{1,15}$/.test(part)).map(Number);
  const route: Route = { page, parts: page === name ? parts : [] };
  if (run !== undefined) route.run = Number(run);
  if (query === 'embedded') route.embedded = true;
  return route;
}

/** The address of a page. */
export function addressOf(page: PageName, ...parts: number[]): string {
  return `#/${base}${[page === 'overview' ? '' : page, ...parts].join('/')}${tail}`;
}

/** The address of a run's first page. */
export const addressOfRun = (run: number) => `#/run/${run}/${tail}`;

/** Where the server has a run's report. */
export const reportOfRun = (run: number) => `api/runs/${run}/report.html`;

/** The address of a page of the cluster itself, from wherever. */
export const liveAddressOf = (page: PageName) => `#/${page === 'overview' ? '' : page}${tail}`;

function read(): Route {
  const route = parseRoute(location.hash);
  base = route.run === undefined ? '' : `run/${route.run}/`;
  tail = route.embedded ? '?embedded' : '';
  return route;
}

export class Router {
  route = $state.raw<Route>(read());

  start(): () => void {
    const follow = () => (this.route = read());
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }
}
