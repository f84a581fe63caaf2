import { describe, expect, it } from 'vitest';

import { violations } from './axe';
import { HOSTILE as hostile, stage, until } from './cluster';

const { hostilePage, open, started } = stage();

const plain = (text: string) => text.replaceAll('\u00a0', ' ');

describe('insights', () => {
  it("account for all of the slots' time, and name what failed", async () => {
    const { url } = await started('--speed', '8', '--once');
    const { page, complaints } = await open(`${url}#/insights`);
    await until(page, 'tasks', (text) => text.includes('100%'));
    const shares = await until(page, 'use-legend', (text) => {
      const found = [...plain(text).matchAll(/(\d+(?:\.\d)?)\s*%/g)].map((it) => Math.round(Number(it[1]) * 10));
      return found.length === 7 && found[0]! > 0 ? found : null;
    });
    expect(shares.reduce((sum, it) => sum + it, 0)).toBe(1_000);
    await until(page, 'use-by-worker', (text) => text.includes('worker-1') && text.includes('worker-4'));
    const retries = page.locator('[data-testid=finding][data-kind=retries]');
    await retries.waitFor();
    expect(await retries.innerText()).toMatch(/attempts? at read\+where failed[\s\S]*HTTP 503[\s\S]*Mend the cause[\s\S]*mosaic\.py:14/);
    await retries.getByRole('link', { name: 'read+where' }).focus();
    await page.keyboard.press('Enter');
    await page.getByTestId('expression').waitFor();
    expect(complaints).toEqual([]);
  });

  it('lead to the part of the timeline where a thing is seen; hostile names are text', async () => {
    const { url } = await started('--idle');
    const { page, complaints } = await hostilePage();
    const finding = { kind: 'skew', cost_us: 4_000_000, text: hostile, remedy: hostile, layer: 0, worker: 0, block: 3, span_us: [2_000_000, 7_000_000] };
    await page.route(/api\/insights$/, (route) =>
      route.fulfill({ json: { now_us: 9_000_000, accounts: { bucket_us: 131_072, columns: [], buckets: [[5, 0, 0, 0, 0, 0, 0], [1, 2, 0, 0, 0, 2, 0]], workers: [[0, [6, 2, 0, 0, 0, 2, 0]]] }, findings: [finding] } }),
    );
    await page.goto(`${url}#/insights`);
    await until(page, 'finding', (text) => text.includes(hostile) && text.includes('Skew'));
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.getByTestId('finding').getByRole('link', { name: 'Task 3' }).getAttribute('href')).toBe('#/task/0/3');
    await page.getByTestId('finding').getByRole('link', { name: 'Timeline' }).click();
    await until(page, 'shown', (text) => plain(text).includes('7.00 s shown'));
    expect(complaints).toEqual([]);
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`have no accessibility violation that axe knows of, ${colorScheme}`, async () => {
      const { url } = await started('--speed', '8', '--once');
      const { page } = await open(`${url}#/insights`, { colorScheme });
      await until(page, 'use-by-worker', (text) => text.includes('worker-1'));
      expect(await violations(page)).toEqual([]);
    });
  }

  it('fit a phone', async () => {
    const { url } = await started('--speed', '8', '--once');
    const { page } = await open(`${url}#/insights`, { viewport: { width: 360, height: 760 } });
    await until(page, 'use-by-worker', (text) => text.includes('worker-1'));
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
  });
});
