import { describe, expect, it } from 'vitest';

import type { LinesTold, LogLine } from '../../src/lib/logs';
import { job, layer, snapshot, worker } from '../unit/fixtures';
import { violations } from './axe';
import { stage, until } from './cluster';

const { newPage, open, started } = stage();

const HOSTILE = '<img src=x onerror=alert(1)>';

const line = (seq: number, more: Partial<LogLine> = {}): LogLine => ({
  seq, at_us: seq * 1_000, last_us: seq * 1_000, count: 1, level: 'info', from: 'worker-0', source: 0, target: 'python', text: `line ${seq}`, job: null, layer: null, block: null, about: null, ...more,
});
const answer = (lines: LogLine[], more: Partial<LinesTold> = {}): LinesTold => ({
  now_us: 40_000_000, lines, next: 1_000, before: null, kept: [lines.length, 0, 0], forgotten: 0, lost: 0, ...more,
});

describe('log lines', () => {
  it('of the scheduler and all workers are there, with their level as a word, and lead to tasks and workers', async () => {
    const { url } = await started('--speed', '8', '--once', '--tasks', '600');
    const { page, complaints } = await open(`${url}#/logs`);
    await until(page, 'logs', (text) => text.includes('job started') && text.includes('job ended'));
    await until(page, 'logs', (text) => /warning\s+worker-\d\s+HTTP 429/.test(text) && /error\s+worker-\d\s+cannot parse/.test(text) && text.includes('14 times'));
    await until(page, 'logs-facts', (text) => /errors\s*[1-9]/.test(text) && /warnings\s*[1-9]/.test(text));
    const slow = page.getByTestId('log-line').filter({ hasText: 'HTTP 429' }).filter({ hasText: 'read+where' }).first();
    expect(await slow.getByRole('link').count()).toBe(2);
    await slow.getByRole('link', { name: /read\+where \d+/ }).click();
    await page.getByRole('link', { name: 'Log lines' }).click();
    await until(page, 'logs', (text) => text.includes('HTTP 429') && !text.includes('job started'));
    expect(page.url()).toMatch(/#\/logs\/0\/0\/\d+$/);
    await page.getByRole('button', { name: 'Show all' }).click();
    await until(page, 'logs', (text) => text.includes('job started'));
    expect(complaints).toEqual([]);
  });

  it('are filtered by level, source, operation and text, by keyboard', async () => {
    const { url } = await started('--speed', '8', '--once', '--tasks', '600');
    const { page } = await open(`${url}#/logs`);
    await until(page, 'logs', (text) => text.includes('job ended'));
    await page.getByRole('button', { name: 'Errors' }).focus();
    await page.keyboard.press('Enter');
    await until(page, 'logs', (text) => text.includes('cannot parse') && !text.includes('HTTP') && !text.includes('job'));
    await page.getByRole('button', { name: 'Show all' }).click();
    await page.getByLabel('From').selectOption('scheduler');
    await until(page, 'logs', (text) => text.includes('job started') && !text.includes('listens'));
    await page.getByLabel('From').selectOption('worker-2');
    await until(page, 'logs', (text) => text.includes('worker lost') && !text.includes('job started') && !/worker-3\s+worker listens/.test(text));
    await page.getByLabel('From').selectOption('');
    await page.getByLabel('About').selectOption('0/0');
    await until(page, 'logs', (text) => text.includes('read+where') && !text.includes('listens') && !text.includes('nanmedian'));
    await page.getByLabel('About').selectOption('');
    await page.getByLabel('Text').fill('ACQUISITION');
    await until(page, 'logs', (text) => text.includes('cannot parse') && !text.includes('HTTP'));
    await page.getByLabel('Text').fill('nobody says this');
    await until(page, 'no-lines', (text) => text.includes('No line that is kept'));
  });

  it('are followed until one scrolls up, and again from the end on', async () => {
    const { url } = await started('--idle');
    const page = await newPage({ viewport: { width: 1000, height: 700 } });
    let next = 200;
    await page.route(/api\/logs/, (route) => {
      const asked = new URL(route.request().url()).searchParams;
      if (asked.has('before')) return route.fulfill({ json: answer([line(7), line(8)]) });
      const after = asked.get('after');
      const lines = after === null ? Array.from({ length: 100 }, (_, at) => line(at + 100)) : [line(next++)];
      return route.fulfill({ json: answer(lines, { next, before: 100 }) });
    });
    await page.goto(`${url}#/logs`);
    await until(page, 'logs', (text) => text.includes('line 202'));
    const list = page.getByTestId('log-lines');
    const isAtEnd = () => list.evaluate((it) => it.scrollHeight - it.scrollTop - it.clientHeight < 24);
    expect(await isAtEnd()).toBe(true);
    await list.focus();
    await page.keyboard.press('PageUp');
    await page.keyboard.press('PageUp');
    await until(page, 'to-end', (text) => /[2-9] new, to the end/.test(text));
    const place = await list.evaluate((it) => it.scrollTop);
    await until(page, 'to-end', (text) => /[4-9] new/.test(text));
    expect(await list.evaluate((it) => it.scrollTop)).toBe(place);
    await page.getByRole('button', { name: 'Older lines' }).press('Enter');
    await until(page, 'logs', (text) => text.includes('line 7'));
    expect(await page.getByRole('button', { name: 'Older lines' }).count()).toBe(0);
    await page.getByTestId('to-end').press('Enter');
    expect(await page.evaluate(() => document.activeElement?.getAttribute('data-testid'))).toBe('log-lines');
    await until(page, 'log-lines', (text) => text.includes('line 208'));
    expect(await isAtEnd()).toBe(true);
    expect(await page.getByTestId('to-end').count()).toBe(0);
  });

  it('are text whatever is in them, and what was lost is said', async () => {
    const { url } = await started('--idle');
    const page = await newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.routeWebSocket(/api\/live$/, (socket) =>
      socket.send(JSON.stringify(snapshot({ jobs: [job(0, { name: HOSTILE })], layers: [layer(0, { name: HOSTILE })], workers: [worker(0, { name: HOSTILE })] }))),
    );
    const hostile = line(3, { from: HOSTILE, text: `${HOSTILE}\n\u202e${HOSTILE}`, target: HOSTILE, job: 0, layer: 0, block: 5, level: 'error' });
    await page.route(/api\/logs/, (route) => route.fulfill({ json: answer(new URL(route.request().url()).searchParams.has('after') ? [] : [hostile], { forgotten: 12, lost: 34 }) }));
    await page.goto(`${url}#/logs`);
    await until(page, 'logs', (text) => text.includes(HOSTILE));
    await until(page, 'logs-facts', (text) => /no longer kept\s*12/.test(text) && /lost on the way\s*34/.test(text));
    expect(await page.locator('img').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  it('say so while there are none', async () => {
    const { url } = await started('--idle');
    const { page, complaints } = await open(`${url}#/logs`);
    await until(page, 'no-lines', (text) => text.includes('Nothing was logged yet'));
    expect(complaints).toEqual([]);
  });

  it('of one worker are on its page', async () => {
    const { url } = await started('--speed', '8', '--once', '--tasks', '600');
    const { page, complaints } = await open(`${url}#/worker/1`);
    await until(page, 'worker-log', (text) => text.includes('worker listens') && text.includes('worker lost') && !text.includes('job started'));
    expect(complaints).toEqual([]);
  });
});

for (const colorScheme of ['light', 'dark'] as const) {
  it(`logs have no accessibility violation that axe knows of, ${colorScheme}`, async () => {
    const { url } = await started('--speed', '8', '--once', '--tasks', '600');
    const { page } = await open(`${url}#/logs`, { colorScheme });
    await until(page, 'logs', (text) => text.includes('job ended') && text.includes('14 times'));
    expect(await violations(page)).toEqual([]);
    await page.getByTestId('log-lines').hover();
    await page.mouse.wheel(0, -2_000);
    await page.getByTestId('to-end').waitFor();
    expect(await violations(page)).toEqual([]);
  });
}

it('logs fit a phone and a wall', async () => {
  const { url } = await started('--speed', '8', '--once', '--tasks', '600');
  const { page } = await open(`${url}#/logs`, { viewport: { width: 360, height: 760 } });
  await until(page, 'logs', (text) => text.includes('job ended'));
  for (const width of [360, 768, 1280, 2560, 3840]) {
    await page.setViewportSize({ width, height: 900 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
    const wide = await page.getByTestId('log-lines').evaluate((it) => it.scrollWidth - it.clientWidth);
    expect(wide).toBe(0);
  }
});
