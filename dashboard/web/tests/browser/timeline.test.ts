import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';

import { layer, job, snapshot, worker } from '../unit/fixtures';
import { violations } from './axe';
import { stage, until } from './cluster';

const { newPage, open, started } = stage();

const coloursOf = (page: Page): Promise<number> =>
  page.getByTestId('timeline-canvas').evaluate((element) => {
    const canvas = element as HTMLCanvasElement;
    const { data } = canvas.getContext('2d')!.getImageData(100, 0, canvas.width - 100, canvas.height - 30);
    const seen = new Set<number>();
    for (let at = 0; at < data.length; at += 4) seen.add((data[at]! << 16) | (data[at + 1]! << 8) | data[at + 2]!);
    return seen.size;
  });

const finished = async (page: Page) => until(page, 'tasks', (text) => text.includes('100%'));
/** The timeline is asked for now and then, so it has the last tasks a little later than their counts say. */
const ended = async (page: Page, count: number) =>
  until(page, 'timeline', (text) => Number(/(\d+) tasks ended/.exec(plain(text))?.[1]) >= count);
const plain = (text: string) => text.replaceAll('\u00a0', ' ');

describe('the timeline', () => {
  it('has each task of the run, from all of it to a single one', async () => {
    const { url } = await started('--speed', '8', '--once', '--tasks', '300');
    const { page, complaints } = await open(`${url}#/timeline`);
    await finished(page);
    await page.waitForFunction(() => Number((document.querySelector('[data-testid=timeline-canvas]') as HTMLElement).dataset['paintMs']) > 0);
    await ended(page, 264);
    expect(await coloursOf(page)).toBeGreaterThan(4);
    const canvas = page.getByTestId('timeline-canvas');
    await canvas.focus();
    for (let step = 0; step < 6; step += 1) await page.keyboard.press('w');
    await until(page, 'shown', (text) => text.includes('task by task'));
    const before = await page.getByTestId('shown').innerText();
    await page.keyboard.press('s');
    await until(page, 'shown', (text) => text !== before);
    expect(await page.getByRole('button', { name: 'Whole' }).getAttribute('aria-pressed')).toBe('false');
    await page.keyboard.press('Home');
    expect(await page.getByRole('button', { name: 'Whole' }).getAttribute('aria-pressed')).toBe('true');
    expect(complaints).toEqual([]);
  });

  it('names the task under the pointer, and is gone along by mouse and wheel', async () => {
    const { url } = await started('--speed', '8', '--once', '--tasks', '200');
    const { page } = await open(`${url}#/timeline`);
    await finished(page);
    await ended(page, 198);
    await until(page, 'shown', (text) => text.includes('task by task'));
    const box = (await page.getByTestId('timeline-canvas').boundingBox())!;
    await page.mouse.move(box.x + 500, box.y + 14);
    const shown = await page.getByTestId('shown').innerText();
    await page.mouse.wheel(0, -600);
    await until(page, 'shown', (text) => text !== shown && text.includes('task by task'));
    const tip = page.getByTestId('task-tip');
    for (let x = 300; x < 900 && (await tip.count()) === 0; x += 23) {
      await page.mouse.move(box.x + x, box.y + 14);
      await page.waitForTimeout(50);
    }
    expect(await tip.innerText()).toMatch(/block[\s\S]*worker-1[\s\S]*slot 0/);
    const label = await page.getByTestId('timeline-canvas').getAttribute('aria-label');
    await page.mouse.down();
    await page.mouse.move(box.x + 200, box.y + 14, { steps: 4 });
    await page.mouse.up();
    expect(await page.getByTestId('timeline-canvas').getAttribute('aria-label')).not.toBe(label);
  });

  it('sums up a box, by mouse and by keyboard', async () => {
    const { url } = await started('--speed', '8', '--once', '--tasks', '200');
    const { page } = await open(`${url}#/timeline`);
    await finished(page);
    await ended(page, 198);
    await page.getByTestId('timeline-canvas').focus();
    await page.keyboard.press('Enter');
    const whole = await until(page, 'sums', (text) => /^(\d+) tasks/.exec(plain(text)));
    expect(Number(whole[1])).toBeGreaterThanOrEqual(198);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Select' }).click();
    const box = (await page.getByTestId('timeline-canvas').boundingBox())!;
    await page.mouse.move(box.x + 300, box.y + 6);
    await page.mouse.down();
    await page.mouse.move(box.x + 600, box.y + 40, { steps: 4 });
    await page.mouse.up();
    const part = await until(page, 'sums', (text) => /^(\d+) tasks on (\d+) slots?/.exec(plain(text)));
    expect(Number(part[1])).toBeLessThan(Number(whole[1]));
    expect(Number(part[2])).toBeLessThanOrEqual(2);
  });

  it('has what was moved below the slots, names it, hides it, and sums it up', async () => {
    const { url } = await started('--speed', '8', '--once', '--tasks', '300');
    const { page } = await open(`${url}#/timeline`);
    await finished(page);
    await ended(page, 264);
    await page.getByTestId('timeline-canvas').focus();
    await page.keyboard.press('Enter');
    await until(page, 'sums', (text) => /[1-9][\d.]* .iB from workers/.test(plain(text)) && plain(text).includes('from outside'));
    const box = (await page.getByTestId('timeline-canvas').boundingBox())!;
    const tip = page.getByTestId('move-tip');
    for (let y = 4; y < box.height && (await tip.count()) === 0; y += 2) {
      for (let x = 200; x < 1000 && (await tip.count()) === 0; x += 200) await page.mouse.move(box.x + x, box.y + y);
    }
    expect(plain(await tip.innerText())).toMatch(/iB (from|to|back)[\s\S]*worker-\d[\s\S]*at 0:/);
    const accents = async () =>
      page.getByTestId('timeline-canvas').evaluate((element) => {
        const canvas = element as HTMLCanvasElement;
        const { data } = canvas.getContext('2d')!.getImageData(100, 0, canvas.width - 100, canvas.height - 30);
        let count = 0;
        // The accent of the light theme, #17727e.
        for (let at = 0; at < data.length; at += 4) count += Number(data[at] === 0x17 && data[at + 1] === 0x72 && data[at + 2] === 0x7e);
        return count;
      });
    await page.keyboard.press('Escape');
    const transfers = page.getByRole('button', { name: 'Transfers' });
    await page.waitForFunction(() => document.querySelector('[data-testid=sums]') === null);
    const before = await accents();
    await transfers.click();
    expect(await transfers.getAttribute('aria-pressed')).toBe('false');
    const deadline = Date.now() + 10_000;
    while ((await accents()) >= before && Date.now() < deadline) await page.waitForTimeout(50);
    expect(await accents()).toBeLessThan(before);
  });

  it('shows hostile names as text, and says so while there is nothing', async () => {
    const { url } = await started('--idle');
    const hostile = '<img src=x onerror=alert(1)>';
    const page = await newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.routeWebSocket(/api\/live$/, (socket) =>
      socket.send(JSON.stringify(snapshot({ jobs: [job(0)], layers: [layer(0, { name: hostile })], workers: [worker(0, { name: hostile })] }))),
    );
    await page.goto(`${url}#/timeline`);
    await until(page, 'timeline', (text) => text.includes(hostile) && text.includes('Each task of the run'));
    expect(await page.locator('img').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`has no accessibility violation that axe knows of, ${colorScheme}`, async () => {
      const { url } = await started('--speed', '8', '--once');
      const { page } = await open(`${url}#/timeline`, { colorScheme });
      await until(page, 'tasks', (text) => !text.startsWith('Tasks\n0'));
      await page.getByTestId('timeline-canvas').focus();
      await page.keyboard.press('Enter');
      await page.getByTestId('sums').waitFor();
      expect(await violations(page)).toEqual([]);
    });
  }

  it('fits a phone', async () => {
    const { url } = await started('--speed', '8', '--once');
    const { page } = await open(`${url}#/timeline`, { viewport: { width: 360, height: 760 } });
    await page.getByTestId('timeline-canvas').waitFor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
  });
});
