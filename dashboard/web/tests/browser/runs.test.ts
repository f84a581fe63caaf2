import { readFile, writeFile } from 'node:fs/promises';

import { describe, expect, it } from 'vitest';

import { violations } from './axe';
import { until } from './cluster';
import { history, seek, told } from './history';

const { ended, newPage, offline, open, path: pathOf, report, started } = history();

const plain = (text: string) => text.replaceAll('\u00a0', ' ');
const HOSTILE = '</script><img src=x onerror=alert(1)>';

describe('runs', () => {
  it('are listed from their beginning, and say what will be there before', async () => {
    const idle = await started('--idle');
    const { page: empty } = await open(`${idle.url}#/runs`);
    await until(empty, 'no-run', (text) => text.includes('No run yet'));

    const url = await ended();
    const { page, complaints } = await open(`${url}#/runs`);
    await until(page, 'run', (text) => text.includes('cloud-free mosaic') && text.includes('succeeded') && text.includes('KiB'));
    await until(page, 'kept', (text) => plain(text).includes('the last 32 jobs that ended are kept, up to 64.0 MiB'));
    expect(complaints).toEqual([]);
  });

  it('are gone through and opened by keyboard', async () => {
    const url = await ended();
    const { page, complaints } = await open(url);
    const rows = ['first', 'second', 'third'].map((name, at) => ({ k: 3 - at, name, state: 'succeeded', began_unix_ms: 1e12, took_us: 5e6, total: 5, tasks: 5, bytes: 40, left_out: 0 }));
    await page.route(/api\/runs$/, (route) => route.fulfill({ json: { runs: rows, on_disk: true, forgotten: 4, count_max: 200, bytes_max: 1 << 30 } }));
    await page.goto(`${url}#/runs`);
    await until(page, 'kept', (text) => text.includes('4 had to make room') && text.includes('written to disk'));
    await page.getByRole('link', { name: 'first', exact: true }).focus();
    const focused = () => page.evaluate(() => document.activeElement?.textContent);
    await page.keyboard.press('ArrowDown');
    expect(await focused()).toBe('second');
    await page.keyboard.press('End');
    expect(await focused()).toBe('third');
    await page.keyboard.press('ArrowDown');
    expect(await focused()).toBe('third');
    await page.keyboard.press('Enter');
    await page.getByTestId('scrubber').waitFor();
    expect(page.url()).toContain('#/run/1/');
    expect(complaints).toEqual([]);
  });

  it('of which nothing is kept say so', async () => {
    const { url } = await started('--idle');
    const { page } = await open(`${url}#/run/99/timeline`);
    await until(page, 'replay-failure', (text) => text.includes('There is no such run, or it is no longer kept.'));
    await page.getByTestId('replay-failure').getByRole('link', { name: 'All runs' }).click();
    await page.getByTestId('no-run').waitFor();
  });

  it('with hostile names show them as text', async () => {
    const { url } = await started('--idle');
    const page = await newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    const run = { k: 1, name: HOSTILE, state: 'failed', message: HOSTILE, began_unix_ms: 1e12, took_us: 1, total: 2, tasks: 1, bytes: 9, left_out: 3 };
    await page.route(/api\/runs$/, (route) => route.fulfill({ json: { runs: [run], on_disk: false, forgotten: 0, count_max: 32, bytes_max: 1 << 26 } }));
    await page.goto(`${url}#/runs`);
    await until(page, 'run', (text) => text.split(HOSTILE).length === 3 && text.includes('failed') && text.includes('without 3'));
    expect(await page.locator('img').count()).toBe(0);
    expect(complaints).toEqual([]);
  });
});

describe('a replay', () => {
  it('shows any moment of a run, on each page', async () => {
    const url = await ended();
    // All bars of the cluster's timeline, those of attempts that failed among them.
    const { tasks } = (await (await fetch(`${url}api/timeline`)).json()) as { tasks: number };
    expect(tasks).toBeGreaterThan((await told(url))[0]!.tasks);
    const { page, complaints } = await open(`${url}#/run/1/`);
    await until(page, 'tasks', (text) => text.includes('100%'));
    await until(page, 'link', (text) => text === 'Replay');
    await seek(page, 0.4);
    await until(page, 'tasks', (text) => /\b[3-5]\d%/.test(text));
    await seek(page, 0);
    await until(page, 'tasks', (text) => /^Tasks\s+0\s/.test(plain(text)));

    await page.getByRole('navigation').getByRole('link', { name: 'Timeline' }).click();
    await until(page, 'timeline', (text) => /^Timeline\D*\b0 tasks ended/.test(plain(text)));
    await page.getByTestId('moment').focus();
    await page.keyboard.press('End');
    await until(page, 'timeline', (text) => plain(text).includes(`${tasks} tasks ended`));
    await page.getByRole('navigation').getByRole('link', { name: 'Expression' }).click();
    await until(page, 'expression', (text) => text.includes('read+where') && text.includes('groupby-month+nanmedian'));
    await page.goto(`${url}#/run/1/task/1/3`);
    await until(page, 'task-story', (text) => text.includes('nanmedian') && text.includes('read+where'));
    await page.getByRole('link', { name: 'Back to live' }).click();
    await until(page, 'link', (text) => text === 'Live');
    expect(await page.getByTestId('scrubber').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  it('plays, pauses and steps by keyboard, as fast as one likes', async () => {
    const url = await ended();
    const { page } = await open(`${url}#/run/1/`);
    await page.getByTestId('scrubber').waitFor();
    const moment = async () => Number(await page.getByTestId('moment').inputValue());
    const last = await moment();
    await page.keyboard.press(',');
    const before = await moment();
    expect(before).toBeLessThan(last);
    await page.keyboard.press('.');
    expect(await moment()).toBe(last);

    await page.getByTestId('speed').selectOption('0.25');
    await page.getByTestId('moment').focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('Space');
    await expect.poll(moment, { timeout: 10_000 }).toBeGreaterThan(last / 50);
    expect(await page.getByTestId('play').getAttribute('aria-label')).toBe('Pause');
    await page.keyboard.press('Space');
    const paused = await moment();
    await page.waitForTimeout(150);
    expect(await moment()).toBe(paused);

    await page.getByTestId('speed').selectOption('1');
    await page.getByTestId('play').click();
    await expect.poll(moment, { timeout: 15_000 }).toBe(last);
    await expect.poll(() => page.getByTestId('play').getAttribute('aria-label')).toBe('Play');
  });

  it('goes on in steps of a second for who wants less motion', async () => {
    const url = await ended();
    const { page } = await open(`${url}#/run/1/`, { reducedMotion: 'reduce' });
    await page.getByTestId('scrubber').waitFor();
    await page.getByTestId('speed').selectOption('0.1');
    await page.evaluate(() => {
      const seen = new Set<string>();
      const range = document.querySelector<HTMLInputElement>('[data-testid=moment]')!;
      const look = () => (seen.add(range.value), requestAnimationFrame(look));
      look();
      Object.assign(window, { seen });
    });
    await page.getByTestId('play').click();
    await page.waitForTimeout(2_600);
    const seen = await page.evaluate(() => (window as unknown as { seen: Set<string> }).seen.size);
    expect(seen).toBeGreaterThan(2);
    expect(seen).toBeLessThan(7);
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`and the list have no accessibility violation that axe knows of, ${colorScheme}`, async () => {
      const url = await ended();
      const { page } = await open(`${url}#/runs`, { colorScheme });
      await page.getByTestId('run').waitFor();
      expect(await violations(page)).toEqual([]);
      for (const of of ['', 'timeline', 'expression', 'task/0/3']) {
        await page.goto(`${url}#/run/1/${of}`);
        await page.getByTestId('scrubber').waitFor();
        await seek(page, 0.5);
        expect(await violations(page), of).toEqual([]);
      }
    });
  }

  it('and the list fit a phone', async () => {
    const url = await ended();
    const { page } = await open(`${url}#/runs`, { viewport: { width: 360, height: 760 } });
    await page.getByTestId('run').waitFor();
    const beyond = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(await beyond()).toBe(0);
    const nav = (await page.getByRole('navigation').getByRole('link', { name: 'Runs' }).boundingBox())!;
    expect(nav.x + nav.width).toBeLessThanOrEqual(360);
    await page.goto(`${url}#/run/1/`);
    await page.getByTestId('scrubber').waitFor();
    expect(await beyond()).toBe(0);
  });
});

describe('a report', () => {
  it('opens from a file within a second, and asks nobody for anything', async () => {
    const path = await report(await ended());
    const took: number[] = [];
    // The best of three, since the machine may do other things meanwhile.
    while (took.length < 3 && !(Math.min(...took) < 1_000)) {
      const begun = performance.now();
      const { page } = await offline(path);
      await page.getByTestId('scrubber').waitFor();
      took.push(performance.now() - begun);
      await page.close();
    }
    expect(Math.min(...took)).toBeLessThan(1_000);
    const { page, requests, complaints } = await offline(path);
    await page.getByTestId('scrubber').waitFor();
    await until(page, 'link', (text) => text === 'Report');
    await until(page, 'tasks', (text) => text.includes('100%'));
    for (const [name, testid] of [['Timeline', 'timeline'], ['Expression', 'expression'], ['Task', 'task-story'], ['Arrays', 'arrays']] as const) {
      await page.getByRole('navigation').getByRole('link', { name }).click();
      await page.getByTestId(testid).first().waitFor();
    }
    await seek(page, 0.3);
    expect(await page.getByRole('navigation').getByRole('link', { name: 'Runs' }).count()).toBe(0);
    expect(await page.evaluate(() => document.fonts.check('600 13px "Plex Sans"'))).toBe(true);
    expect(requests).toEqual(['report.html']);
    expect(complaints).toEqual([]);
  });

  it('runs no script but its own', async () => {
    const html = await readFile(await report(await ended()), 'utf8');
    const path = pathOf('added.html');
    await writeFile(path, html.replace('<div id="app">', '<script>window.added = 1</script><div id="app">'));
    const { page } = await offline(path);
    await page.getByTestId('scrubber').waitFor();
    expect(await page.evaluate(() => 'added' in window)).toBe(false);
    const outcome = await page.evaluate(() => fetch('https://example.org/').then(() => 'asked', () => 'refused'));
    expect(outcome).toBe('refused');
  });

  it('with hostile names shows them as text', async () => {
    const { url } = await started('--speed', '16', '--once', '--name', HOSTILE);
    await expect.poll(async () => (await told(url))[0]?.state, { timeout: 30_000, interval: 200 }).toBe('succeeded');
    const { page, complaints } = await offline(await report(url, 'hostile.html'));
    await until(page, 'progress', (text) => text.includes(HOSTILE));
    expect(await page.title()).toContain(HOSTILE);
    expect(await page.locator('img').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  it('that was cut says so, wherever', async () => {
    const html = await readFile(await report(await ended()), 'utf8');
    const film = html.indexOf('id="film">') + 10;
    for (const [at, said] of [
      [html.length - 2_000, /This run is damaged: it cannot be unpacked. Copy the file again./],
      [film + 4, /Copy the file again/],
      [film - 3_000, /the file was cut short/],
    ] as const) {
      const path = pathOf('cut.html');
      await writeFile(path, html.slice(0, at));
      const { page } = await offline(path);
      await expect.poll(() => page.locator('#app').innerText(), { message: String(at) }).toMatch(said);
      await page.close();
    }
    const path = pathOf('damaged.html');
    await writeFile(path, `${html.slice(0, film + 200)}AAAA${html.slice(film + 204)}`);
    const { page } = await offline(path);
    await until(page, 'replay-failure', (text) => /damaged/.test(text));
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`has no accessibility violation that axe knows of, ${colorScheme}`, async () => {
      const { page } = await offline(await report(await ended()), { colorScheme, bypassCSP: true });
      await page.getByTestId('scrubber').waitFor();
      expect(await violations(page)).toEqual([]);
    });
  }
});
