import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';

import { violations } from './axe';
import { until } from './cluster';
import { history, seek } from './history';

const { ended, offline, open, report } = history();

const plain = (text: string) => text.replaceAll('\u00a0', ' ');
const HOSTILE = '</script><img src=x onerror=alert(1)>';
const TOPICS = ['communication', 'insights', 'logs'] as const;

const go = async (page: Page, name: (typeof TOPICS)[number]) => {
  await page.getByRole('navigation').getByRole('link', { name: name[0]!.toUpperCase() + name.slice(1) }).click();
  await page.getByTestId(name === 'logs' ? 'logs-page' : name).waitFor();
};

/** What the three pages show of a run that is over, wherever it is shown. */
async function seeTopics(page: Page, moved: string): Promise<void> {
  await go(page, 'communication');
  await until(page, 'moved', (text) => text === moved);
  await until(page, 'by-worker', (text) => text.includes('outside') && text.includes('worker-3'));
  await until(page, 'by-operation', (text) => text.includes('read+where') && text.includes('nanmedian'));
  expect(await page.getByTestId('offender').count()).toBeGreaterThanOrEqual(4);
  await go(page, 'insights');
  await until(page, 'use-legend', (text) => /computing\s*[1-9]/.test(plain(text)));
  await until(page, 'use-by-worker', (text) => text.includes('worker-1') && text.includes('worker-4'));
  await until(page, 'findings', (text) => /attempts? at read\+where failed[\s\S]*HTTP 503/.test(text));
  await go(page, 'logs');
  await until(page, 'logs', (text) => text.includes('job started') && text.includes('job ended') && text.includes('worker lost'));
  await page.getByRole('button', { name: 'Errors' }).click();
  await until(page, 'logs', (text) => text.includes('cannot parse') && !text.includes('job'));
  await page.getByRole('button', { name: 'Show all' }).click();
  await until(page, 'logs', (text) => text.includes('job started'));
}

describe('communication, insights and logs', () => {
  it('are the same in a replay and in a report as they were', async () => {
    const url = await ended('--tasks', '400');
    const { page, complaints } = await open(`${url}#/communication`);
    // What workers tell after the end is there, too.
    await expect.poll(async () => {
      const before = await page.getByTestId('moved').innerText();
      await page.waitForTimeout(1_500);
      return /[1-9]/.test(before) && before === (await page.getByTestId('moved').innerText());
    }, { timeout: 15_000 }).toBe(true);
    const moved = await page.getByTestId('moved').innerText();
    await page.goto(`${url}#/run/1/`);
    await page.getByTestId('scrubber').waitFor();
    await seeTopics(page, moved);
    const { page: filed, requests, complaints: ofFile } = await offline(await report(url, 'topics.html'));
    await filed.getByTestId('scrubber').waitFor();
    await seeTopics(filed, moved);
    expect(requests).toEqual(['topics.html']);
    expect([...complaints, ...ofFile]).toEqual([]);
  });

  it('are as they were at any moment of a run', async () => {
    const url = await ended('--tasks', '400');
    const { page, complaints } = await open(`${url}#/run/1/logs`);
    await until(page, 'logs', (text) => text.includes('job ended'));
    await seek(page, 0);
    await until(page, 'logs', (text) => text.includes('job started') && !text.includes('job ended'));
    await go(page, 'communication');
    await until(page, 'communication', (text) => text.includes('Nothing had been moved for this run'));
    await seek(page, 0.5);
    const half = await until(page, 'moved', (text) => /between workers\s+[1-9]/.test(plain(text)) && text);
    await seek(page, 1);
    await until(page, 'moved', (text) => text !== half);
    await go(page, 'insights');
    const slots = page.getByTestId('insights').getByText(/ of slots, each microsecond/);
    const whole = await slots.innerText();
    await seek(page, 0.5);
    await expect.poll(() => slots.innerText()).not.toBe(whole);
    await page.goto(`${url}#/run/1/task/0/13`);
    await page.getByRole('link', { name: 'Log lines' }).click();
    await page.getByTestId('moment').focus();
    await page.keyboard.press('End');
    await until(page, 'logs', (text) => text.includes('HTTP 429') && !text.includes('job started'));
    await page.goto(`${url}#/run/1/timeline`);
    await page.getByRole('button', { name: 'Transfers' }).waitFor();
    await page.getByTestId('timeline').locator('canvas').focus();
    await page.keyboard.press('Enter');
    await until(page, 'sums', (text) => /from workers[\s\S]*iB/.test(plain(text)));
    expect(complaints).toEqual([]);
  });

  it('show what is hostile in a log line as text, in a replay and in a report', async () => {
    const url = await ended('--name', HOSTILE);
    const { page, complaints } = await open(`${url}#/run/1/logs`);
    const { page: filed, complaints: ofFile } = await offline(await report(url, 'hostile-lines.html'));
    await filed.getByTestId('scrubber').waitFor();
    await go(filed, 'logs');
    for (const of of [page, filed]) {
      await until(of, 'logs', (text) => text.includes(`name=${HOSTILE}`));
      for (const name of TOPICS) {
        await go(of, name);
        expect(await of.locator('img').count()).toBe(0);
      }
    }
    expect([...complaints, ...ofFile]).toEqual([]);
  });

  it('of a run that was recorded without them say so', async () => {
    const url = await ended();
    const { page } = await open(url);
    await page.route(/api\/runs\/1\/film$/, async (route) => {
      const film = new Response((await (await route.fetch()).body()) as BodyInit).body!.pipeThrough(new DecompressionStream('gzip'));
      const bytes = new Uint8Array(await new Response(film).arrayBuffer());
      const len = new DataView(bytes.buffer).getUint32(0, true);
      const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + len))) as Record<string, unknown>;
      const text = new TextEncoder().encode(JSON.stringify({ ...head, topics: null }));
      const size = new Uint8Array(new Uint32Array([text.length]).buffer);
      const packed = new Blob([size, text, bytes.subarray(4 + len)]).stream().pipeThrough(new CompressionStream('gzip'));
      await route.fulfill({ body: Buffer.from(await new Response(packed).arrayBuffer()) });
    });
    await page.goto(`${url}#/run/1/`);
    await page.getByTestId('scrubber').waitFor();
    for (const name of ['Workers', 'Memory', 'Scaling', 'Communication', 'Insights', 'Logs']) {
      await page.getByRole('navigation').getByRole('link', { name }).click();
      await until(page, 'not-kept', (text) => text.includes('recorded by a release that did not keep'));
    }
    await page.getByRole('navigation').getByRole('link', { name: 'Timeline' }).click();
    await page.getByTestId('timeline').waitFor();
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`of a replay and a report have no accessibility violation that axe knows of, ${colorScheme}`, async () => {
      const url = await ended('--tasks', '400');
      const { page } = await open(`${url}#/run/1/`, { colorScheme });
      const { page: filed } = await offline(await report(url, `axe-${colorScheme}.html`), { colorScheme, bypassCSP: true });
      for (const of of [page, filed]) {
        await of.getByTestId('scrubber').waitFor();
        for (const name of TOPICS) {
          await go(of, name);
          expect(await violations(of), name).toEqual([]);
        }
      }
    });
  }

  it('of a replay fit a phone', async () => {
    const url = await ended('--tasks', '400');
    const { page } = await open(`${url}#/run/1/`, { viewport: { width: 360, height: 760 } });
    await page.getByTestId('scrubber').waitFor();
    for (const name of TOPICS) {
      await go(page, name);
      expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), name).toBe(0);
    }
  });
});
