import { describe, expect, it } from 'vitest';

import { job, layer, snapshot } from '../unit/fixtures';
import { violations } from './axe';
import { HOSTILE, stage, until } from './cluster';

const { newPage, open, started, waits } = stage();

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

  it('says why in the words of the scheduler: memory, what no worker has, and where a task ran', async () => {
    const { url } = await waits();
    const { page, complaints } = await open(`${url}#/task`);
    const keyOf = async (name: string, count = 1) => {
      const option = page.locator('select option', { hasText: name });
      await page.waitForFunction(([text, least]) => [...document.querySelectorAll('select option')].filter((it) => it.textContent?.includes(String(text))).length >= Number(least), [name, count]);
      const keys = await option.evaluateAll((all) => all.map((it) => Number((it as HTMLOptionElement).value)));
      return keys.sort((one, other) => one - other);
    };
    const [call, behind] = await keyOf(HOSTILE, 2);
    const [ones] = await keyOf('full+gate');
    await page.goto(`${url}#/task/${call}/0`);
    await until(page, 'task-why', (text) => text.includes('of 1 worker 1 lacks what it asks for'));
    await page.goto(`${url}#/task/${behind}/0`);
    await until(page, 'task-why', (text) => text.includes('waits for an input'));
    const because = await until(page, 'task-because', (text) => text.includes('lacks what it asks for') && text);
    expect(because).toContain(HOSTILE);
    expect(await page.locator('img').count()).toBe(0);
    expect(await violations(page)).toEqual([]);
    await page.getByTestId('task-because').locator('a').click();
    await until(page, 'task-why', (text) => text.includes('of 1 worker 1 lacks what it asks for'));
    await page.goto(`${url}#/task/${ones}/63`);
    await until(page, 'task-why', (text) => /not demanded yet[\s\S]* are in use, .* by results that clients have not fetched/.test(text));
    await page.goto(`${url}#/task/${ones}/0`);
    await until(page, 'task-ran', (text) => text.includes('Ran on worker 1: it had the fewest tasks at hand'));
    expect(complaints).toEqual([]);
  });

  it('says what follows from the tables where the scheduler cannot be asked', async () => {
    const { url } = await started('--speed', '20', '--once', '--tasks', '150');
    const { page, complaints } = await open(`${url}#/array`);
    await until(page, 'tasks', (text) => text.includes('100%'));
    let asked = 0;
    page.on('request', (request) => (asked += Number(request.url().includes('api/reasons'))));
    await page.goto(`${url}#/task/0/3`);
    await until(page, 'task-why', (text) => text.includes('all who needed it have read it'));
    expect(asked).toBeGreaterThan(0);
    expect(await page.getByTestId('task-because').count()).toBe(0);
    // A run that is replayed asks nobody.
    await page.goto(`${url}#/run/1/task/0/3`);
    await page.getByTestId('task-story').waitFor();
    asked = 0;
    await page.waitForTimeout(1_500);
    expect(asked).toBe(0);
    expect(complaints).toEqual([]);
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
