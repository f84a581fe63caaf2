import { describe, expect, it } from 'vitest';

import { violations } from './axe';
import { HOSTILE as hostile, stage, until } from './cluster';

const { hostilePage, open, started } = stage();

const plain = (text: string) => text.replaceAll('\u00a0', ' ');

describe('memory', () => {
  it('shows who holds what, by worker and by operation, while a job runs', async () => {
    const { url } = await started('--speed', '2', '--once', '--tasks', '900');
    const { page, complaints } = await open(`${url}#/memory`);
    await until(page, 'memory-facts', (text) => /chunks in memory\s+[1-9][\s\S]*of 6\.00 GiB[\s\S]*other\s+[1-9]/.test(plain(text)));
    await until(page, 'holders', (text) => /read\+where[\s\S]*mosaic\.py:14[\s\S]*tasks of the job still read it[\s\S]*worker-/.test(text));
    await until(page, 'operation-loads-told', (text) => text.includes('read+where') && text.includes('MiB'));
    await until(page, 'memory-by-worker', (text) => text.includes('worker-1') && text.includes('worker-3'));
    const pictures = page.getByTestId('memory-by-worker').getByRole('img');
    expect(await pictures.first().getAttribute('aria-label')).toMatch(/^Memory of worker-\d: now: chunks/);
    await page.getByTestId('memory-by-worker').getByRole('link').first().focus();
    await page.keyboard.press('Enter');
    await page.getByTestId('worker-page').waitFor();
    expect(complaints).toEqual([]);
  });

  it('is looked at over longer times, bucket by bucket', async () => {
    const { url } = await started('--speed', '8', '--once');
    const { page, complaints } = await open(`${url}#/memory`);
    await until(page, 'tasks', (text) => text.includes('100%'));
    await until(page, 'holders', (text) => text.includes('No chunk is held'));
    const slider = page.getByTestId('memory-loads').getByRole('slider');
    await slider.focus();
    await page.keyboard.press('Home');
    await until(page, 'memory-loads-told', (text) => text.includes('ago'));
    const asked = page.waitForRequest(/api\/memory\/2$/);
    await page.getByRole('button', { name: '3 h' }).click();
    await asked;
    await until(page, 'memory-loads-told', (text) => text.includes('MiB'));
    expect(complaints).toEqual([]);
  });

  it('says what to do while there is nothing, and shows hostile names as text', async () => {
    const { url } = await started('--idle');
    const { page, complaints } = await hostilePage();
    await page.goto(`${url}#/memory`);
    await until(page, 'memory-page', (text) => text.includes('No worker has reported yet. Start one with graticule worker'));
    const loads = [[38_000_000, 50, 0, 5, 5], [39_000_000, 60, 0, 5, 5]];
    const holder = { layer: 0, job: 0, job_name: hostile, name: hostile, origin: hostile, is_output: true, kept_as: [hostile], chunks: 2, total: 9, bytes: 50, spilled: 1, workers: [[0, 2, 50], [null, 1, 1]], worker_count: 5, is_running: false };
    const story = {
      now_us: 40_000_000, bucket_us: 1_000_000, budget: 100, loads, limits: [100, 100], workers: [{ k: 0, name: hostile, state: 'ready', budget: 100, loads }], workers_left_out: 7,
      operations: [{ name: hostile, points: [[38_000_000, 40]] }], holders: [holder], holders_left_out: 3, held: 50, copies: 10,
    };
    await page.route(/api\/memory\/0$/, (route) => route.fulfill({ json: story }));
    await until(page, 'holders', (text) => text.includes(hostile) && text.includes('kept by name') && text.includes('and 2 more') && text.includes('and 3 operations with less'));
    await until(page, 'memory-by-worker', (text) => text.includes(hostile) && text.includes('and 7 with less'));
    await until(page, 'memory-facts', (text) => plain(text).includes('not told'));
    await until(page, 'memory-page', (text) => text.includes('do not tell the memory of their processes'));
    expect(await page.locator('img').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`has no accessibility violation that axe knows of, ${colorScheme}`, async () => {
      const { url } = await started('--speed', '1.5', '--once', '--tasks', '900');
      const { page } = await open(`${url}#/memory`, { colorScheme });
      await until(page, 'holders', (text) => text.includes('read+where'));
      expect(await violations(page)).toEqual([]);
    });
  }

  it('fits a phone', async () => {
    const { url } = await started('--speed', '2', '--once');
    const { page } = await open(`${url}#/memory`, { viewport: { width: 360, height: 760 } });
    await until(page, 'holders', (text) => text.includes('read+where'));
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
  });
});
