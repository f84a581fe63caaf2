import { describe, expect, it } from 'vitest';

import { job, layer, snapshot } from '../unit/fixtures';
import { violations } from './axe';
import { stage, until } from './cluster';

const { newPage, open, started } = stage();

describe('the page of a task', () => {
  it('is reached from a chunk, and leads on to what it reads', async () => {
    const { url } = await started('--speed', '20', '--once', '--tasks', '150');
    const { page, complaints } = await open(`${url}#/array`);
    await until(page, 'tasks', (text) => text.includes('100%'));
    await page.locator('[data-name=nanmedian] [data-testid=array-canvas]').focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    const story = await until(page, 'task-story', (text) => text.includes('read+where') && text.replaceAll('\u00a0', ' '));
    expect(story).toMatch(/nanmedian[\s\S]*released[\s\S]*mosaic\.py:21[\s\S]*10 chunks, 10 made[\s\S]*subtract\+divide/);
    await page.locator('.links a').first().click();
    await until(page, 'task-story', (text) => text.includes('mosaic.py:14') && text.includes('nothing of other arrays'));
    expect(complaints).toEqual([]);
  });

  it('says why it does not run', async () => {
    const { url } = await started('--speed', '1', '--once');
    const { page } = await open(`${url}#/array`);
    await until(page, 'state-2', (text) => Number(text) > 0);
    await page.goto(`${url}#/task/4/20`);
    expect(await until(page, 'task-why', (text) => text)).toMatch(/waits for 5 chunks/);
    await page.goto(`${url}#/task/4/999999`);
    await until(page, 'no-task', (text) => text.includes('no such task'));
    await page.goto(`${url}#/task/99/0`);
    await until(page, 'no-task', (text) => text.includes('no longer kept'));
  });

  it('shows hostile names and errors as text', async () => {
    const { url } = await started('--idle');
    const hostile = '<img src=x onerror=alert(1)>';
    const page = await newPage();
    await page.routeWebSocket(/api\/live$/, (socket) =>
      socket.send(JSON.stringify(snapshot({ jobs: [job(0, { name: hostile })], layers: [layer(0, { name: hostile, origin: hostile })] }))),
    );
    const story = { layer: 0, block: 0, extents: [], planned_bytes: 0, state: 'failed', attempt: 1, again: true, worker: null, given_us: null, started_us: null, bytes_step: 0, time_step: 0, errors: [[1, hostile]], inputs: [], consumers: [] };
    await page.route('**/api/blocks/**', (route) => route.fulfill({ json: story }));
    await page.goto(`${url}#/task`);
    expect(await until(page, 'task-story', (text) => text.includes('attempt 2') && text)).toContain(hostile);
    expect(await page.locator('img').count()).toBe(0);
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`has no accessibility violation that axe knows of and fits a phone, ${colorScheme}`, async () => {
      const { url } = await started('--speed', '8', '--once');
      const { page } = await open(`${url}#/task/1/3`, { colorScheme, viewport: { width: 360, height: 740 } });
      await page.getByTestId('task-story').waitFor();
      expect(await violations(page)).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
    });
  }
});
