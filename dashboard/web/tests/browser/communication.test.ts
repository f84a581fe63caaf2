import { describe, expect, it } from 'vitest';

import { violations } from './axe';
import { HOSTILE as hostile, stage, until } from './cluster';

const { hostilePage, open, started } = stage();

const plain = (text: string) => text.replaceAll('\u00a0', ' ');

describe('communication', () => {
  it('shows who fetched from whom, which operation from which, and the worst operations', async () => {
    const { url } = await started('--speed', '8', '--once', '--tasks', '300');
    const { page, complaints } = await open(`${url}#/communication`);
    await until(page, 'tasks', (text) => text.includes('100%'));
    await until(page, 'moved', (text) => /between workers\s+[1-9][\s\S]*needed\s+[1-9][\s\S]*×/.test(plain(text)));
    await until(page, 'by-worker', (text) => text.includes('outside') && text.includes('worker-1'));
    await until(page, 'by-operation', (text) => text.includes('read+where') && text.includes('nanmedian'));
    const worst = page.getByTestId('offender');
    expect(await worst.count()).toBeGreaterThanOrEqual(4);
    expect(await page.getByTestId('offenders').innerText()).toContain('mosaic.py:14');
    await worst.first().getByRole('link').click();
    await page.getByTestId('arrays').waitFor();
    expect(complaints).toEqual([]);
  });

  it('is gone through by keyboard, and has its numbers as a table', async () => {
    const { url } = await started('--speed', '8', '--once', '--tasks', '200');
    const { page } = await open(`${url}#/communication`);
    await until(page, 'tasks', (text) => text.includes('100%'));
    await until(page, 'by-worker', (text) => text.includes('worker-3'));
    const cells = page.getByTestId('worker-matrix').locator('td[tabindex="0"]');
    expect(await cells.count()).toBe(1);
    await cells.focus();
    const told = () => page.getByTestId('worker-matrix-told').innerText();
    const first = await told();
    await page.keyboard.press('ArrowRight');
    await until(page, 'worker-matrix-told', (text) => text !== first && text.includes('→'));
    await page.keyboard.press('End');
    await page.keyboard.press('ArrowDown');
    expect(await cells.count()).toBe(1);
    const numbers = page.getByRole('button', { name: 'Numbers' });
    await numbers.focus();
    await page.keyboard.press('Enter');
    expect(await numbers.getAttribute('aria-pressed')).toBe('true');
    await until(page, 'worker-matrix', (text) => /\d iB|\d\s[KMG]iB/.test(plain(text)));
  });

  it('shows hostile names as text, and says so while there is nothing', async () => {
    const { url } = await started('--idle');
    const { page, complaints } = await hostilePage();
    await page.goto(`${url}#/communication`);
    await until(page, 'communication', (text) => text.includes('Nothing was moved yet'));
    const sums = { count: 1, bytes: 5, busy_us: 7 };
    const row = { layer: 0, moved: 5, fetches: 1, fetch_us: 7, needed: 2, source: 0, spilled: 0, read_back: 0, excess: 3 };
    await page.route(/api\/communication$/, (route) =>
      route.fulfill({ json: { pairs: [[0, 0, sums]], own: [], flows: [[0, 0, sums]], layers: [row], left_out: { ...sums, count: 0 }, lost: 3 } }),
    );
    await until(page, 'offenders', (text) => text.includes(hostile));
    await until(page, 'communication', (text) => text.includes('3 movements had no room'));
    expect(await page.locator('img').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`has no accessibility violation that axe knows of, ${colorScheme}`, async () => {
      const { url } = await started('--speed', '8', '--once', '--tasks', '300');
      const { page } = await open(`${url}#/communication`, { colorScheme });
      await until(page, 'by-operation', (text) => text.includes('nanmedian'));
      expect(await violations(page)).toEqual([]);
      await page.getByRole('button', { name: 'Numbers' }).click();
      expect(await violations(page)).toEqual([]);
    });
  }

  it('fits a phone', async () => {
    const { url } = await started('--speed', '8', '--once');
    const { page } = await open(`${url}#/communication`, { viewport: { width: 360, height: 760 } });
    await until(page, 'by-operation', (text) => text.includes('read+where'));
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
  });
});
