import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';

import { violations } from './axe';
import { until } from './cluster';
import { history, seek } from './history';

const { ended, offline, open, report } = history();
const plain = (text: string) => text.replaceAll('\u00a0', ' ');
const PAGES = [
  ['Workers', 'workers-page'],
  ['Memory', 'memory-page'],
  ['Scaling', 'scaling-page'],
] as const;

const go = async (page: Page, [name, testid]: (typeof PAGES)[number]) => {
  await page.getByRole('navigation').getByRole('link', { name, exact: true }).click();
  await page.getByTestId(testid).waitFor();
};

/** What the pages of workers show in the midst of a run, wherever it is shown. */
async function seeWorkers(page: Page): Promise<void> {
  await seek(page, 0.5);
  await go(page, PAGES[0]);
  await until(page, 'roster', (text) => text.includes('worker-1') && /[1-9] of \d/.test(plain(text)));
  await page.getByRole('button', { name: 'Done' }).click();
  await page.locator('[aria-sort=descending]').waitFor();
  await page.getByTestId('roster-row').first().getByRole('link').click();
  await until(page, 'worker-facts', (text) => /done\s+[1-9]/.test(plain(text)));
  await until(page, 'worker-held', (text) => /iB/.test(text));
  await until(page, 'worker-life', (text) => text.includes('joined'));
  await page.getByTestId('worker-loads').waitFor();
  await go(page, PAGES[1]);
  await until(page, 'memory-facts', (text) => /chunks in memory\s+[1-9]/.test(plain(text)));
  await until(page, 'holders', (text) => /read\+where[\s\S]*iB/.test(plain(text)));
  await page.getByTestId('operation-loads').waitFor();
  await go(page, PAGES[2]);
  await until(page, 'lives', (text) => text.includes('worker-1'));
  await until(page, 'decisions', (text) => text.includes('wanted'));
}

describe('workers, memory and scaling of a run', () => {
  it('are shown in a replay and in a report', async () => {
    const url = await ended('--tasks', '400', '--scaling');
    const { page, complaints } = await open(`${url}#/run/1/`);
    await page.getByTestId('scrubber').waitFor();
    await seeWorkers(page);
    const { page: filed, requests, complaints: ofFile } = await offline(await report(url, 'workers.html'));
    await filed.getByTestId('scrubber').waitFor();
    await seeWorkers(filed);
    expect(requests).toEqual(['workers.html']);
    expect([...complaints, ...ofFile]).toEqual([]);
  });

  it('are as they were at any moment', async () => {
    const url = await ended('--tasks', '400', '--scaling');
    const { page } = await open(`${url}#/run/1/memory`);
    await seek(page, 0.3);
    const early = await until(page, 'holders', (text) => text.includes('read+where') && text);
    await seek(page, 0.8);
    await until(page, 'holders', (text) => text !== early);
    await seek(page, 0.3);
    await until(page, 'holders', (text) => text === early);
    await go(page, PAGES[0]);
    await seek(page, 1);
    await until(page, 'workers-facts', (text) => /lost/.test(text));
    await seek(page, 0.02);
    await until(page, 'workers-facts', (text) => !/lost/.test(text));
    await go(page, PAGES[2]);
    const few = (await page.getByTestId('decision').count()) + 0;
    await seek(page, 1);
    await expect.poll(() => page.getByTestId('decision').count()).toBeGreaterThan(few);
  });

  it('have the bars of attempts that failed', async () => {
    const url = await ended('--tasks', '400');
    const film = await open(`${url}#/run/1/workers`);
    const failed = await film.page.evaluate(async () => {
      const bytes = new Uint8Array(await new Response((await fetch('api/runs/1/film')).body!.pipeThrough(new DecompressionStream('gzip'))).arrayBuffer());
      const len = new DataView(bytes.buffer).getUint32(0, true);
      const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + len))) as { tasks: number; columns_at: number };
      let at = 4 + len + head.columns_at;
      for (let column = 0; column < 5; column += 1) at += 1 + bytes[at]! * head.tasks;
      const marks = bytes.subarray(at + 1, at + 1 + head.tasks);
      return marks.filter((mark) => (mark & 1) === 1).length;
    });
    expect(failed).toBeGreaterThan(0);
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`have no accessibility violation that axe knows of, ${colorScheme}`, async () => {
      const url = await ended('--tasks', '400', '--scaling');
      const { page } = await open(`${url}#/run/1/`, { colorScheme });
      const { page: filed } = await offline(await report(url, `axe-${colorScheme}.html`), { colorScheme });
      for (const of of [page, filed]) {
        await of.getByTestId('scrubber').waitFor();
        await seek(of, 0.5);
        for (const it of PAGES) {
          await go(of, it);
          expect(await violations(of)).toEqual([]);
        }
      }
    });
  }
});
