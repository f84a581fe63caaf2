import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';

import { job, layer, snapshot, worker } from '../unit/fixtures';

/** A name that would be a picture if it were taken for markup. */
export const HOSTILE = '<img src=x onerror=alert(1)>';

/** A replayed cluster that serves its dashboard. */
export interface Replay {
  url: string;
  stop(): Promise<void>;
}

/** Starts the replay named by `GRATICULE_REPLAY_BIN`, or takes the dashboard at `GRATICULE_DASHBOARD_URL`. */
export async function replay(...options: string[]): Promise<Replay> {
  const binary = process.env['GRATICULE_REPLAY_BIN'];
  if (!binary) {
    const url = process.env['GRATICULE_DASHBOARD_URL'];
    if (!url) throw new Error('set GRATICULE_REPLAY_BIN to the built example `replay`, or GRATICULE_DASHBOARD_URL');
    return { url, stop: async () => {} };
  }
  return serving(binary, options);
}

/** Starts a cluster whose tasks wait, the example named by `GRATICULE_WAITING_BIN`. */
export async function waiting(): Promise<Replay> {
  const binary = process.env['GRATICULE_WAITING_BIN'];
  if (!binary) throw new Error('set GRATICULE_WAITING_BIN to the built example `waiting`');
  return serving(binary, []);
}

/** Starts a reverse proxy before what is at `url`, below `prefix`. */
export const proxied = (url: string, prefix: string, ...options: string[]): Promise<Replay> =>
  serving(process.execPath, [fileURLToPath(new URL('proxy.mjs', import.meta.url)), url, prefix, ...options]);

/** A process that says an address on its first line, and ends with its input. */
async function serving(program: string, words: string[]): Promise<Replay> {
  const child: ChildProcess = spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  if (!child.stdout || !child.stdin) throw new Error(`${program} has no pipes`);
  const { value } = await createInterface(child.stdout)[Symbol.asyncIterator]().next();
  if (typeof value !== 'string') throw new Error(`${program} ended before it said its address`);
  return {
    url: value,
    stop: async () => {
      if (child.exitCode !== null) return;
      const ended = once(child, 'exit');
      child.stdin?.end();
      await ended;
    },
  };
}

export async function browser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env['GRATICULE_CHROMIUM'] ?? '/usr/bin/chromium',
    // Names of sites that tests make up lead here.
    args: ['--no-sandbox', '--headless=new', '--host-resolver-rules=MAP *.example 127.0.0.1'],
  });
}

/** A browser for the tests of a file, and replays; pages and replays end with the test that opened them. */
export function stage() {
  let shared: Browser;
  const running: Replay[] = [];
  const kept = (it: Replay) => {
    running.push(it);
    return it;
  };
  beforeAll(async () => {
    shared = await browser();
  });
  afterAll(() => shared.close());
  afterEach(async () => {
    await Promise.all(shared.contexts().map((context) => context.close()));
    await Promise.all(running.splice(0).map((it) => it.stop()));
  });
  return {
    newPage: (options: Parameters<Browser['newPage']>[0] = {}) => shared.newPage(options),
    /** A page of a cluster all of whose names are hostile, and what its scripts complain of. */
    hostilePage: async () => {
      const page = await shared.newPage();
      const complaints: string[] = [];
      page.on('pageerror', (error) => complaints.push(String(error)));
      const named = { name: HOSTILE, origin: HOSTILE };
      const told = snapshot({ jobs: [job(0)], layers: [layer(0, named)], workers: [worker(0, { name: HOSTILE })] });
      await page.routeWebSocket(/api\/live$/, (socket) => socket.send(JSON.stringify(told)));
      return { page, complaints };
    },
    open: (url: string, options: Parameters<Browser['newPage']>[0] = {}) => open(shared, url, options),
    started: async (...options: string[]) => kept(await replay(...options)),
    waits: async () => kept(await waiting()),
    behind: async (url: string, prefix: string, ...options: string[]) => kept(await proxied(url, prefix, ...options)),
  };
}

/** A page that collects what must not happen: script errors, and breaches of the security policy. */
export async function open(from: Browser, url: string, options: Parameters<Browser['newPage']>[0] = {}) {
  const page = await from.newPage({ viewport: { width: 1440, height: 900 }, ...options });
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    const isLost = message.text().includes('ERR_CONNECTION_REFUSED') || message.text().includes('WebSocket');
    if (message.type() === 'error' && !isLost) complaints.push(message.text());
  });
  await page.goto(url);
  return { page, complaints };
}

/** Waits until `check` of what the page says holds. */
export async function until<T>(page: Page, testid: string, check: (text: string) => T | null | false): Promise<T> {
  const deadline = Date.now() + 45_000;
  let seen = '';
  while (Date.now() < deadline) {
    seen = (await page.getByTestId(testid).allInnerTexts()).join('\n');
    const found = check(seen);
    if (found) return found;
    await page.waitForFunction(() => new Promise((done) => requestAnimationFrame(() => done(true))));
  }
  throw new Error(`in vain waited for ${testid}, which last said: ${seen}`);
}
