import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect } from 'vitest';

import { stage } from './cluster';

interface RunTold {
  state: string;
  tasks: number;
  name: string;
}

/** What a cluster tells of its runs. */
export async function told(url: string): Promise<RunTold[]> {
  return ((await (await fetch(`${url}api/runs`)).json()) as { runs: RunTold[] }).runs;
}

/** Shows a share of a run. */
export const seek = (page: Page, share: number) =>
  page.getByTestId('moment').evaluate((input, part) => {
    const range = input as HTMLInputElement;
    range.value = String(Number(range.max) * part);
    range.dispatchEvent(new Event('input', { bubbles: true }));
  }, share);

/** A stage with runs that ended, and their reports in a folder that goes with the tests. */
export function history() {
  const on = stage();
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'graticule-report-'));
  });
  afterAll(() => rm(folder, { recursive: true }));
  return {
    ...on,
    path: (name: string) => join(folder, name),
    /** A replay whose first run ended, and the address of its dashboard. */
    ended: async (...options: string[]): Promise<string> => {
      const { url } = await on.started('--speed', '16', '--once', ...options);
      await expect.poll(async () => (await told(url))[0]?.state, { timeout: 30_000, interval: 200 }).toBe('succeeded');
      return url;
    },
    /** The report of the first run as a file. */
    report: async (url: string, name = 'report.html'): Promise<string> => {
      const path = join(folder, name);
      await writeFile(path, Buffer.from(await (await fetch(`${url}api/runs/1/report.html`)).arrayBuffer()));
      return path;
    },
    /** A page that must ask nobody for anything. */
    offline: async (path: string, options: Parameters<typeof on.newPage>[0] = {}) => {
      const page = await on.newPage({ viewport: { width: 1280, height: 800 }, offline: true, ...options });
      const requests: string[] = [];
      const complaints: string[] = [];
      page.on('request', (it) => it.url().startsWith('data:') || requests.push(it.url().split('/').at(-1)!));
      page.on('pageerror', (error) => complaints.push(String(error)));
      page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
      await page.goto(pathToFileURL(path).href);
      return { page, requests, complaints };
    },
  };
}
