import type { Page } from 'playwright-core';

import type { PageName } from '../../src/lib/router.svelte';
import { until } from './cluster';

/** What is seen on each page once it has what it shows, and what it says then. */
export const SHOWN: Record<PageName, [testid: string, text: RegExp]> = {
  overview: ['layer', /median/],
  array: ['arrays', /median/],
  expression: ['operation', /median/],
  timeline: ['shown', /\d/],
  workers: ['roster-row', /worker-1/],
  memory: ['memory-facts', /limit|of/i],
  scaling: ['life', /worker-1/],
  communication: ['moved', /\d/],
  insights: ['use-legend', /computing/i],
  logs: ['logs', /scheduler/],
  runs: ['run', /mosaic/],
  task: ['task', /block|task/i],
  worker: ['worker-facts', /\d/],
};

const addressOn: Partial<Record<PageName, string>> = { task: 'task/0/0', worker: 'worker/0' };

/** Goes to a page, or that page of what stands before it, until it shows what it has. */
export async function seePage(page: Page, name: PageName, before = ''): Promise<void> {
  const address = `#/${before}${addressOn[name] ?? (name === 'overview' ? '' : name)}`;
  await page.evaluate((to) => (location.hash = to), address);
  const [testid, text] = SHOWN[name];
  await until(page, testid, (seen) => text.test(seen));
}
