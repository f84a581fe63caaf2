import { describe, expect, it } from 'vitest';

import { job, layer, snapshot, worker } from '../unit/fixtures';
import { violations } from './axe';
import { stage, until } from './cluster';

const { newPage, open, started } = stage();

const plain = (text: string) => text.replaceAll('\u00a0', ' ');
const HOSTILE = '<img src=x onerror=alert(1)>';

/** An answer about many workers, one of them with a hostile name. */
const roster = (from: number, total: number) => ({
  now_us: 40_000_000, total, forgotten: 2, ready: total - 1, retiring: 1, retired: 0, lost: 0,
  sums: { workers: total, slots: 2, budget: 100, memory: 5, spilled: 0, transit: 0, fetch_rate: 0 },
  busy: 0, from,
  rows: [worker(from, { name: HOSTILE, address: HOSTILE, retiring: HOSTILE }), worker(from + 1, { state: 'lost', left_us: 9_000_000, message: HOSTILE, name: 'gone' })],
});

describe('workers', () => {
  it('are a table that is sorted by its heads, by keyboard too, and lead to one of them', async () => {
    const { url } = await started('--speed', '8', '--once', '--scaling');
    const { page, complaints } = await open(`${url}#/workers`);
    await until(page, 'roster', (text) => /worker-1[\s\S]*ready[\s\S]*worker-2[\s\S]*lost/.test(text) && text.includes('no heartbeat for 5 s'));
    await until(page, 'tasks', (text) => text.includes('100%'));
    await until(page, 'workers-facts', (text) => /there\s*2/.test(plain(text)) && /lost\s*1/.test(plain(text)) && /retired\s*1/.test(plain(text)));
    const names = async () => (await page.getByTestId('roster-row').locator('th a').allInnerTexts()).join(' ');
    expect(await names()).toBe('worker-1 worker-4 worker-2 worker-3');
    const head = page.getByRole('button', { name: 'Worker', exact: true });
    await head.focus();
    await page.keyboard.press('Enter');
    await until(page, 'roster', (text) => text.indexOf('worker-4') < text.indexOf('worker-1') && text.indexOf('worker-1') < text.indexOf('worker-3'));
    expect(await page.locator('th[aria-sort=descending]').innerText()).toContain('Worker');
    await page.getByRole('button', { name: 'Done' }).click();
    expect(await page.locator('th[aria-sort]').innerText()).toContain('Done');
    await page.getByRole('link', { name: 'worker-2' }).click();
    await until(page, 'standing', (text) => text.trim() === 'lost');
    expect(await page.getByRole('navigation').locator('[aria-current=page]').innerText()).toBe('Workers');
    expect(complaints).toEqual([]);
  });

  it('of which there are too many for one table come part by part; hostile names are text', async () => {
    const { url } = await started('--idle');
    const page = await newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.route(/api\/workers\//, (route) => {
      const from = Number(route.request().url().split('/').at(-1));
      return route.fulfill({ json: roster(from, 350) });
    });
    await page.goto(`${url}#/workers`);
    await until(page, 'roster', (text) => text.includes(HOSTILE) && text.includes('1 to 2 of 350') && text.includes('retiring'));
    expect(await page.getByRole('button', { name: 'Previous' }).isDisabled()).toBe(true);
    await page.getByRole('button', { name: 'Next' }).click();
    await until(page, 'roster', (text) => text.includes('201 to 202 of 350'));
    await until(page, 'workers-page', (text) => text.includes('2 workers that left long ago are forgotten'));
    expect(await page.locator('img').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  it('say what to do while there is none', async () => {
    const { url } = await started('--idle');
    const { page, complaints } = await open(`${url}#/workers`);
    await until(page, 'workers-page', (text) => text.includes('No worker has joined yet. Start one with graticule worker'));
    expect(complaints).toEqual([]);
  });
});

describe('a worker', () => {
  it('shows its memory, what it runs and holds, what failed, and why it is there', async () => {
    const { url } = await started('--speed', '1.5', '--once', '--scaling', '--tasks', '900');
    const { page, complaints } = await open(url);
    await until(page, 'workers', (text) => text.includes('worker-1'));
    await page.getByTestId('workers').getByRole('link', { name: 'worker-1' }).click();
    await until(page, 'worker-page', (text) => text.includes('worker-1') && text.includes('127.0.0.1:40001'));
    await until(page, 'worker-running', (text) => /read\+where|nanmedian/.test(text));
    await until(page, 'worker-held', (text) => text.includes('read+where') && text.includes('MiB'));
    await until(page, 'worker-loads-told', (text) => /now[\s\S]*chunks[\s\S]*MiB[\s\S]*other[\s\S]*MiB/.test(text));
    await until(page, 'worker-life', (text) => text.includes('one more was wanted') && text.includes('640 tasks are 52 s of work') && text.includes('joined'));
    await page.getByRole('button', { name: '15 min' }).click();
    expect(await page.getByRole('button', { name: '15 min' }).getAttribute('aria-pressed')).toBe('true');
    const link = await page.getByTestId('worker-running').getByRole('link').first().getAttribute('href');
    expect(link).toMatch(/^#\/task\/\d+\/\d+$/);
    expect(complaints).toEqual([]);
  });

  it('is looked at bucket by bucket with the keyboard', async () => {
    const { url } = await started('--speed', '4', '--once');
    const { page } = await open(`${url}#/worker/2`);
    const slider = page.getByRole('slider');
    await slider.waitFor();
    await page.waitForFunction(() => Number(document.querySelector('[role=slider]')?.getAttribute('aria-valuemax')) >= 3);
    await slider.focus();
    await page.keyboard.press('Home');
    await until(page, 'worker-loads-told', (text) => text.includes('ago'));
    expect(await slider.getAttribute('aria-valuenow')).toBe('0');
    await page.keyboard.press('ArrowRight');
    expect(await slider.getAttribute('aria-valuenow')).toBe('1');
    await page.keyboard.press('End');
    await until(page, 'worker-loads-told', (text) => text.includes('now'));
    expect(await slider.getAttribute('aria-valuetext')).toMatch(/^now: /);
  });

  it('that is not known leads to all; hostile texts are text', async () => {
    const { url } = await started('--idle');
    const page = await newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.routeWebSocket(/api\/live$/, (socket) =>
      socket.send(JSON.stringify(snapshot({ jobs: [job(0)], layers: [layer(0, { name: HOSTILE })], workers: [worker(0, { name: HOSTILE })] }))),
    );
    await page.goto(`${url}#/worker/77`);
    await until(page, 'worker-page', (text) => text.includes('not known') && text.includes('All workers'));
    const story = {
      now_us: 40_000_000, row: worker(0, { name: HOSTILE, address: HOSTILE, retiring: HOSTILE }), errors: 1, bucket_us: 1_000_000,
      loads: [[39_000_000, 5, 5, 5, 5]], running: [[0, 3, 0, 0, 39_000_000, 1]],
      held: [{ layer: 0, job: 0, job_name: HOSTILE, name: HOSTILE, origin: HOSTILE, is_output: true, kept_as: [HOSTILE], chunks: 1, bytes: 5, spilled: 0 }],
      failures: [{ layer: 0, block: 3, worker: 0, attempt: 0, at_us: 30_000_000, message: HOSTILE }],
      life: [{ at_us: 1, kind: 'retiring', text: HOSTILE, reason: HOSTILE }],
    };
    await page.route(/api\/worker\/0\//, (route) => route.fulfill({ json: story }));
    await page.goto(`${url}#/worker/0`);
    for (const part of ['standing', 'worker-running', 'worker-held', 'worker-failures', 'worker-life']) await until(page, part, (text) => text.includes(HOSTILE));
    expect(await page.locator('img').count()).toBe(0);
    expect(complaints).toEqual([]);
  });
});

for (const colorScheme of ['light', 'dark'] as const) {
  it(`workers have no accessibility violation that axe knows of, ${colorScheme}`, async () => {
    const { url } = await started('--speed', '6', '--once', '--scaling');
    const { page } = await open(`${url}#/workers`, { colorScheme });
    await until(page, 'roster', (text) => text.includes('lost'));
    expect(await violations(page)).toEqual([]);
    await page.goto(`${url}#/worker/0`);
    await until(page, 'worker-life', (text) => text.includes('joined'));
    await until(page, 'worker-loads-told', (text) => text.includes('MiB'));
    expect(await violations(page)).toEqual([]);
  });
}

it('workers fit a phone', async () => {
  const { url } = await started('--speed', '8', '--once', '--scaling');
  const { page } = await open(`${url}#/workers`, { viewport: { width: 360, height: 760 } });
  const excess = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  await until(page, 'roster', (text) => text.includes('lost'));
  expect(await excess()).toBe(0);
  await page.goto(`${url}#/worker/0`);
  await until(page, 'worker-life', (text) => text.includes('joined'));
  expect(await excess()).toBe(0);
});
