/**
 * The pages as parts of the script: that of the overview comes with the page, the others when they are visited, or once
 * there is time after the first picture, so that going to a page does not wait, nor needs a server that is the same as then.
 */
import type { Component } from 'svelte';

import type { Ink, Theme } from './colours';
import type { Watched } from './live.svelte';
import type { PageName, Route } from './router.svelte';
import type { View } from './view';

/** What pages are given; each takes what it needs of it. */
export interface PageProps {
  view: View;
  live: Watched;
  route: Route;
  theme: Theme;
  inkOf: Map<string, Ink>;
}

type Page = Component<PageProps>;
type Later = Exclude<PageName, 'overview'>;

const IMPORTS: Record<Later, () => Promise<{ default: unknown }>> = {
  array: () => import('../pages/Arrays.svelte'),
  expression: () => import('../pages/Expression.svelte'),
  timeline: () => import('../pages/Timeline.svelte'),
  workers: () => import('../pages/Workers.svelte'),
  memory: () => import('../pages/Memory.svelte'),
  scaling: () => import('../pages/Scaling.svelte'),
  communication: () => import('../pages/Communication.svelte'),
  insights: () => import('../pages/Insights.svelte'),
  logs: () => import('../pages/Logs.svelte'),
  runs: () => import('../pages/Runs.svelte'),
  task: () => import('../pages/Task.svelte'),
  worker: () => import('../pages/Worker.svelte'),
};

/** How long after there is something to show the other parts wait: what is shown asks for more itself. */
const PAUSE_MS = 1_000;

/** How long the browser may be busy before the other parts are fetched all the same. */
const IDLE_MS_MAX = 2_000;

const isLater = (page: PageName): page is Later => page !== 'overview';

export class Parts {
  pages = $state.raw<Partial<Record<PageName, Page>>>({});
  /** The page whose part did not come. */
  missing = $state<PageName | null>(null);

  /** Has the part of a page come. */
  async need(page: PageName): Promise<void> {
    if (!isLater(page) || this.pages[page]) return;
    try {
      await this.#fetch(page);
      if (this.missing === page) this.missing = null;
    } catch {
      this.missing = page;
    }
  }

  /** Has all parts come, one after the other, while the browser has nothing else to do. */
  async needAll(): Promise<void> {
    await new Promise((done) => setTimeout(done, PAUSE_MS));
    const left = Object.keys(IMPORTS).filter((page) => !this.pages[page as Later]) as Later[];
    for (const page of left) {
      await idle();
      try {
        await this.#fetch(page);
      } catch {
        // Nobody waits for it: who goes there asks again, and is told.
        return;
      }
    }
  }

  async #fetch(page: Later): Promise<void> {
    const part = (await IMPORTS[page]()).default as Page;
    this.pages = { ...this.pages, [page]: part };
  }
}

/** Waits until the browser has nothing to do. */
function idle(): Promise<void> {
  return new Promise((done) => {
    // Not all browsers tell.
    if ('requestIdleCallback' in window) requestIdleCallback(() => done(), { timeout: IDLE_MS_MAX });
    else setTimeout(done, 200);
  });
}
