import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';

import { CELL_AGAIN, HELD } from '../../src/lib/cells';
import { arrayFrame, job, layer, snapshot, worker } from '../unit/fixtures';
import { violations } from './axe';
import { stage, until } from './cluster';

const { newPage, open, started } = stage();

const numberOf = (text: string) => Number(text.replaceAll(/\D/g, ''));

/** Colours on the first array's canvas, without what is transparent. */
const coloursOf = (page: Page): Promise<number> =>
  page
    .getByTestId('array')
    .first()
    .locator('canvas')
    .first()
    .evaluate((element) => {
      const canvas = element as HTMLCanvasElement;
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
      const seen = new Set<number>();
      for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3]) seen.add((data[at]! << 16) | (data[at + 1]! << 8) | data[at + 2]!);
      }
      return seen.size;
    });

/** A page whose frames come from the test: those of the cluster, and those of the arrays. */
async function scripted(url: string, frames: unknown[], arrays: Uint8Array[], viewport = { width: 1440, height: 900 }) {
  const page = await newPage({ viewport });
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('dialog', (dialog) => complaints.push(dialog.message()));
  await page.routeWebSocket(/api\/live$/, (socket) => frames.forEach((frame) => socket.send(JSON.stringify(frame))));
  await page.routeWebSocket(/api\/live\/arrays/, (socket) => arrays.forEach((frame) => socket.send(Buffer.from(frame))));
  await page.goto(`${url}#/array`);
  return { page, complaints };
}

describe('the arrays of a job', () => {
  it('are drawn chunk by chunk from the first to the last, through the loss of a worker', async () => {
    const { url } = await started('--speed', '5', '--once');
    const { page, complaints } = await open(`${url}#/array`);
    await until(page, 'state-2', (text) => numberOf(text) > 0);
    expect(await page.getByTestId('array').count()).toBe(5);
    expect(await coloursOf(page)).toBeGreaterThan(2);
    await until(page, 'state-again', (text) => numberOf(text) > 0);
    const total = async () => {
      let sum = 0;
      for (const state of [0, 1, 2, 3, 4, 5, 6]) sum += numberOf(await page.getByTestId(`state-${state}`).innerText());
      return sum;
    };
    await until(page, 'tasks', (text) => text.includes('100%'));
    await until(page, 'state-0', (text) => numberOf(text) === 0);
    expect(numberOf(await page.getByTestId('state-2').innerText())).toBe(0);
    expect(numberOf(await page.getByTestId('state-4').innerText())).toBeGreaterThan(0);
    const [, of = ''] = (await page.getByTestId('tasks').innerText()).split('of');
    expect(await total()).toBe(numberOf(of.split('\n')[0] ?? ''));
    expect(complaints).toEqual([]);
  });

  it('light up what a chunk is made from and who reads it, by mouse', async () => {
    const { url } = await started('--speed', '20', '--once', '--tasks', '150');
    const { page } = await open(`${url}#/array`);
    await until(page, 'tasks', (text) => text.includes('100%'));
    const overlay = page.locator('[data-name=nanmedian] [data-testid=array-canvas]');
    await overlay.hover({ position: { x: 5, y: 5 } });
    const tip = page.getByTestId('chunk-tip');
    await tip.filter({ hasText: 'of read+where' }).waitFor();
    const text = (await tip.innerText()).replaceAll('\u00a0', ' ');
    expect(text).toMatch(/chunk\s+\(0, 0\)/);
    expect(text).toMatch(/reads\s+10 of read\+where/);
    expect(text).toMatch(/read by\s+5 of subtract\+divide/);
    // The ten inputs are lit: the veil over the array has ten holes.
    const veil = page.locator('[data-name="read+where"] [data-testid=array-canvas]');
    const clear = await veil.evaluate((element) => {
      const canvas = element as HTMLCanvasElement;
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let at = 3; at < data.length; at += 4) if (data[at] === 0) count += 1;
      return count / (data.length / 4);
    });
    expect(clear).toBeGreaterThan(0);
    expect(clear).toBeLessThan(0.5);
    await page.mouse.move(4, 300);
    await tip.waitFor({ state: 'detached' });
  });

  it('are walked through by keyboard, and coloured by what is asked for', async () => {
    const { url } = await started('--speed', '20', '--once', '--tasks', '150');
    const { page } = await open(`${url}#/array`);
    await until(page, 'tasks', (text) => text.includes('100%'));
    await page.locator('[data-name="subtract+divide"] [data-testid=array-canvas]').focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowDown');
    const tip = page.getByTestId('chunk-tip');
    expect(await tip.innerText()).toMatch(/\(0, 1, 1\)/);
    await page.keyboard.press('Escape');
    await tip.waitFor({ state: 'detached' });
    const before = await coloursOf(page);
    await page.getByRole('radio', { name: 'Time' }).check();
    await page.waitForFunction(() => new Promise((done) => setTimeout(() => done(true), 300)));
    expect(await coloursOf(page)).not.toBe(before);
    await page.getByRole('radio', { name: 'Worker' }).check();
    expect(await page.getByRole('list', { name: 'Workers' }).innerText()).toContain('worker-1');
  });

  it('are looked at closer, two axes at a time', async () => {
    const { url } = await started('--speed', '20', '--once', '--tasks', '150');
    const { page } = await open(`${url}#/array`);
    await page.getByRole('link', { name: 'read+where' }).click();
    const large = page.getByTestId('array').first();
    await page.getByLabel('the others side by side').uncheck();
    const slider = large.getByRole('slider');
    await slider.focus();
    await page.keyboard.press('ArrowRight');
    expect((await large.locator('output').innerText()).replaceAll('\u00a0', ' ')).toBe('2 of 10');
    await large.getByLabel('Down').selectOption({ index: 0 });
    await until(page, 'arrays', (text) => text.includes('axis 1'));
    await page.getByRole('link', { name: 'read+where' }).click();
    expect(new URL(page.url()).hash).toMatch(/^#\/array\/\d+$/);
  });
});

describe('the page of arrays', () => {
  it('shows names and errors as text, and an array without a plan as a row of chunks', async () => {
    const { url } = await started('--idle');
    const hostile = '<img src=x onerror=alert(1)><script>alert(2)</script>';
    const { page, complaints } = await scripted(
      url,
      [snapshot({ jobs: [job(0, { name: hostile })], layers: [layer(0, { name: hostile })], workers: [worker(0, { name: hostile })] })],
      [arrayFrame('snapshot', 1, 0, Array.from({ length: 10 }, () => [HELD | CELL_AGAIN, 1, 0, 9, 9]))],
    );
    await until(page, 'state-3', (text) => numberOf(text) === 10);
    expect(await page.getByTestId('array').innerText()).toContain(hostile);
    await page.getByTestId('array-canvas').hover({ position: { x: 3, y: 3 } });
    expect(await page.getByTestId('chunk-tip').innerText()).toContain(hostile);
    expect(await page.locator('img, main script').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  it('takes a fresh snapshot when a frame is missing', async () => {
    const { url } = await started('--idle');
    const page = await newPage();
    let connections = 0;
    await page.routeWebSocket(/api\/live$/, (socket) =>
      socket.send(JSON.stringify(snapshot({ jobs: [job(0)], layers: [layer(0, { total: 2 })] }))),
    );
    await page.routeWebSocket(/api\/live\/arrays/, (socket) => {
      connections += 1;
      const cells = Array.from({ length: 2 }, () => [connections > 1 ? HELD : 0, 0, 0, 0, 0]);
      socket.send(Buffer.from(arrayFrame('snapshot', 1, 0, cells)));
      if (connections === 1) socket.send(Buffer.from(arrayFrame('delta', 9, 0, [], [], 2)));
    });
    await page.goto(`${url}#/array`);
    await until(page, 'state-3', (text) => numberOf(text) === 2);
    expect(connections).toBe(2);
  });

  it('uses server-sent events where sockets do not pass', async () => {
    const { url } = await started('--speed', '5', '--once');
    const page = await newPage();
    await page.routeWebSocket(/api\/live/, (socket) => socket.close());
    await page.goto(`${url}#/array`);
    await until(page, 'state-2', (text) => numberOf(text) > 0);
  });

  it('says so while there is no job', async () => {
    const { url } = await started('--idle');
    const { page, complaints } = await open(`${url}#/array`);
    await page.getByTestId('no-array').waitFor();
    expect(complaints).toEqual([]);
  });

  it('draws a million chunks', async () => {
    const { url } = await started('--idle');
    const count = 1 << 20;
    const cells = Array.from({ length: count }, (_, at) => [at % 7, 1 + (at % 3), 0, 60, at % 97]);
    const frames = [arrayFrame('snapshot', 1, 0, cells)];
    const { page } = await scripted(url, [snapshot({ jobs: [job(0)], layers: [layer(0, { total: count })] })], frames);
    await until(page, 'state-3', (text) => numberOf(text) > 100_000);
    expect(await page.getByTestId('array-undrawn').count()).toBe(0);
    expect(await coloursOf(page)).toBeGreaterThan(2);
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`has no accessibility violation that axe knows of, ${colorScheme}`, async () => {
      const { url } = await started('--speed', '8', '--once');
      const { page } = await open(`${url}#/array`, { colorScheme });
      await until(page, 'state-again', (text) => numberOf(text) > 0);
      expect(await violations(page)).toEqual([]);
      await page.getByRole('link', { name: 'read+where' }).click();
      await page.getByRole('radio', { name: 'Worker' }).check();
      expect(await violations(page)).toEqual([]);
    });
  }

  for (const width of [360, 3840]) {
    it(`fits a screen of ${width} pixels`, async () => {
      const { url } = await started('--speed', '8', '--once');
      const { page } = await open(`${url}#/array`, { viewport: { width, height: 800 } });
      await until(page, 'state-2', (text) => numberOf(text) > 0);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(overflow).toBe(0);
    });
  }
});
