import { describe, expect, it } from 'vitest';

import { violations } from './axe';
import { stage, until } from './cluster';

const { newPage, open, started } = stage();

const plain = (text: string) => text.replaceAll('\u00a0', ' ');

describe('scaling', () => {
  it("shows each worker's life beside what was wanted, and says why", async () => {
    const { url } = await started('--speed', '8', '--once', '--scaling');
    const { page, complaints } = await open(`${url}#/scaling`);
    await until(page, 'tasks', (text) => text.includes('100%'));
    await until(page, 'scaling-now', (text) => plain(text).includes('2 wanted, 2 there: no task waits'));
    await until(page, 'lives', (text) => /worker-1\s+ready[\s\S]*worker-2\s+lost[\s\S]*worker-3\s+retired[\s\S]*worker-4\s+ready[\s\S]*spare-1\s+did not come/.test(text));
    await until(page, 'decisions', (text) => /2 wanted\s+retire 1\s+no task waits[\s\S]*3 wanted\s+start 3\s+640 tasks are/.test(plain(text)));
    const bars = page.getByTestId('life').getByRole('img');
    const said = plain((await bars.nth(2).getAttribute('aria-label')) ?? '');
    expect(said).toMatch(/^worker-3: (?:wanted from .*, )?starting from 0:0\d for .*, ready from .*, retiring from .*, retired at 0:/);
    await page.getByRole('button', { name: '1 min' }).focus();
    await page.keyboard.press('Enter');
    expect(await page.getByRole('button', { name: '1 min' }).getAttribute('aria-pressed')).toBe('true');
    await page.getByTestId('life').getByRole('link', { name: 'worker-4' }).click();
    await page.getByTestId('worker-page').waitFor();
    expect(complaints).toEqual([]);
  });

  it('says who decides if nobody does', async () => {
    const { url } = await started('--speed', '8', '--once');
    const { page } = await open(`${url}#/scaling`);
    await until(page, 'scaling-now', (text) => plain(text).includes('3 there. Nobody decides on their number') && text.includes('--adapt'));
    await until(page, 'lives', (text) => text.includes('worker-3'));
  });

  it('says what to do while there is nothing, and shows hostile texts as text', async () => {
    const { url } = await started('--idle');
    const hostile = '<img src=x onerror=alert(1)>';
    const page = await newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(`${url}#/scaling`);
    await until(page, 'scaling-page', (text) => text.includes('No worker yet') && text.includes('graticule cluster --adapt'));
    const life = { k: null, name: hostile, state: 'failed', wanted_us: 1_000_000, starting_us: 2_000_000, joined_us: null, retiring_us: null, ended_us: 9_000_000, why: hostile };
    const decision = { at_us: 1_000_000, wanted: 3, min: 1, max: 9, start: 1, stay: 0, retire: 0, reason: hostile };
    await page.route(/api\/scaling$/, (route) =>
      route.fulfill({ json: { now_us: 40_000_000, decisions: [decision], latest: decision, lives: [life, { ...life, state: 'starting', ended_us: null, why: null }], left_out: 4, counts: [] } }),
    );
    for (const part of ['scaling-now', 'lives', 'decisions']) await until(page, part, (text) => text.includes(hostile));
    await until(page, 'lives', (text) => text.includes('4 that are gone are left out'));
    expect(await page.locator('img').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`has no accessibility violation that axe knows of, ${colorScheme}`, async () => {
      const { url } = await started('--speed', '8', '--once', '--scaling');
      const { page } = await open(`${url}#/scaling`, { colorScheme });
      await until(page, 'lives', (text) => text.includes('did not come'));
      expect(await violations(page)).toEqual([]);
    });
  }

  it('fits a phone', async () => {
    const { url } = await started('--speed', '8', '--once', '--scaling');
    const { page } = await open(`${url}#/scaling`, { viewport: { width: 360, height: 760 } });
    await until(page, 'lives', (text) => text.includes('did not come'));
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
  });
});
