import { describe, expect, it } from 'vitest';

import { job, layer, snapshot } from '../unit/fixtures';
import { violations } from './axe';
import { stage, until } from './cluster';

const { newPage, open, started } = stage();

describe('the expression of a job', () => {
  it('is a graph in which each operation stands after what it reads, and lives', async () => {
    const { url } = await started('--speed', '5', '--once');
    const { page, complaints } = await open(`${url}#/expression`);
    await until(page, 'operation', (text) => text.includes('running'));
    const box = async (name: string) => (await page.locator(`[data-testid=operation][data-name="${name}"]`).boundingBox())!;
    const [read, median, month, subtract] = [await box('read+where'), await box('nanmedian'), await box('groupby-month+nanmedian'), await box('subtract+divide')];
    expect(median.x).toBeGreaterThanOrEqual(read.x + read.width);
    expect(month.x).toBe(median.x);
    expect(subtract.x).toBeGreaterThanOrEqual(month.x + month.width);
    expect(await page.locator('[data-testid=expression] path').count()).toBe(5);
    await until(page, 'tasks', (text) => text.includes('100%'));
    const operations = page.getByTestId('operation');
    expect(await operations.filter({ hasText: 'done' }).count()).toBe(5);
    expect(await operations.first().innerText()).toMatch(/mosaic\.py:14[\s\S]*ms/);
    expect(complaints).toEqual([]);
  });

  it('leads by keyboard from an operation to its array', async () => {
    const { url } = await started('--speed', '20', '--once', '--tasks', '100');
    const { page } = await open(`${url}#/expression`);
    await page.getByTestId('operation').first().waitFor();
    await page.getByRole('region', { name: /Graph of/ }).focus();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByTestId('arrays').waitFor();
    expect(await page.getByTestId('array').first().getAttribute('data-name')).toBe('read+where');
  });

  it('flows down on a phone, and fits it', async () => {
    const { url } = await started('--speed', '5', '--once');
    const { page } = await open(`${url}#/expression`, { viewport: { width: 390, height: 800 } });
    await until(page, 'operation', (text) => text.includes('write-geotiff'));
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(overflow).toBe(0);
    const nav = page.getByRole('navigation').getByRole('link', { name: 'Arrays' });
    await nav.click();
    await page.getByTestId('arrays').waitFor();
  });

  it('shows hostile names as text, and operations without a plan', async () => {
    const { url } = await started('--idle');
    const hostile = '<img src=x onerror=alert(1)>';
    const page = await newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('dialog', (dialog) => complaints.push(dialog.message()));
    await page.routeWebSocket(/api\/live$/, (socket) =>
      socket.send(JSON.stringify(snapshot({ jobs: [job(0, { name: hostile })], layers: [layer(0, { name: hostile, origin: hostile }), layer(1)] }))),
    );
    await page.goto(`${url}#/expression`);
    await until(page, 'operation', (text) => text.includes(hostile));
    expect(await page.locator('img').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`has no accessibility violation that axe knows of, ${colorScheme}`, async () => {
      const { url } = await started('--speed', '8', '--once');
      const { page } = await open(`${url}#/expression`, { colorScheme });
      await until(page, 'operation', (text) => text.includes('running'));
      expect(await violations(page)).toEqual([]);
    });
  }
});
