import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';

import { head, job, layer, snapshot, worker } from '../unit/fixtures';
import { violations } from './axe';
import { replay, stage, until } from './cluster';

const { newPage, open, started } = stage();

/** A page whose frames come from the test. */
async function scripted(url: string, frames: unknown[]): Promise<{ page: Page; complaints: string[] }> {
  const page = await newPage({ viewport: { width: 1440, height: 900 } });
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('dialog', (dialog) => complaints.push(dialog.message()));
  await page.routeWebSocket(/api\/live$/, (socket) => frames.forEach((frame) => socket.send(JSON.stringify(frame))));
  await page.goto(url);
  return { page, complaints };
}

const numbers = (text: string) => [...text.replaceAll('\u00a0', '').matchAll(/\d+/g)].map(Number);

describe('a job that runs', () => {
  it('is followed from its first task to its last, through the loss of a worker', async () => {
    const { url } = await started('--speed', '5', '--once');
    const { page, complaints } = await open(url);
    await page.getByRole('heading', { name: 'Progress' }).waitFor();
    expect(await page.getByTestId('link').innerText()).toBe('Live');

    await until(page, 'worker', (text) => text.includes('lost'));
    expect(await page.getByTestId('health').innerText()).toContain('worker-2 was lost');
    await until(page, 'job', (text) => text.includes('done'));

    const [done, total] = numbers(await page.getByTestId('tasks').innerText());
    expect(done).toBe(total);
    const layers = await page.getByTestId('layer').all();
    expect(layers.length).toBe(5);
    for (const row of layers) {
      const bar = row.getByRole('progressbar');
      expect(await bar.getAttribute('aria-valuenow')).toBe(await bar.getAttribute('aria-valuemax'));
    }
    expect(await page.getByTestId('layer').first().innerText()).toContain('↻');
    expect(await page.locator('[data-testid=worker][data-state=ready]').count()).toBe(3);
    expect(await page.locator('[data-testid=worker][data-state=lost]').count()).toBe(1);
    expect(complaints).toEqual([]);
  });

  it('says where an operation comes from, by mouse and by keyboard', async () => {
    const { url } = await started('--speed', '5', '--once');
    const { page } = await open(url);
    const label = page.getByTestId('layer').first().locator('[aria-describedby]');
    await label.focus();
    const tip = page.getByRole('tooltip').filter({ hasText: 'mosaic.py:14' });
    await tip.waitFor({ state: 'visible' });
    expect(await tip.innerText()).toContain('made in');
  });

  it('has a task stream that is painted, moves, and names the task under the pointer', async () => {
    const { url } = await started('--speed', '3', '--once');
    const { page } = await open(url);
    await until(page, 'tasks', (text) => (numbers(text)[0] ?? 0) > 60);
    const canvas = page.getByTestId('stream-canvas');
    const colours = (): Promise<number> =>
      canvas.evaluate((element) => {
        const context = (element as HTMLCanvasElement).getContext('2d');
        const { data } = context!.getImageData(0, 0, (element as HTMLCanvasElement).width, 60);
        const seen = new Set<number>();
        for (let at = 0; at < data.length; at += 4) seen.add((data[at]! << 16) | (data[at + 1]! << 8) | data[at + 2]!);
        return seen.size;
      });
    expect(await colours()).toBeGreaterThan(4);

    await page.getByTestId('pause').click();
    const shot = async () => (await canvas.screenshot()).toString('base64');
    const still = await shot();
    const [before] = numbers(await page.getByTestId('tasks').innerText());
    await until(page, 'tasks', (text) => (numbers(text)[0] ?? 0) > (before ?? 0));
    expect(await shot()).toBe(still);
    await page.getByTestId('pause').click();
    await until(page, 'tasks', (text) => (numbers(text)[0] ?? 0) > (before ?? 0) + 20);
    expect(await shot()).not.toBe(still);

    const box = (await canvas.boundingBox())!;
    await page.mouse.move(box.x + box.width - 60, box.y + 14);
    const tip = page.getByTestId('task-tip');
    await tip.waitFor();
    expect(await tip.innerText()).toMatch(/block[\s\S]*worker-1[\s\S]*slot 0/);
  });

  it('has a task stream that the keyboard walks through', async () => {
    const { url } = await started('--speed', '5', '--once');
    const { page } = await open(url);
    await until(page, 'tasks', (text) => (numbers(text)[0] ?? 0) > 40);
    await page.getByTestId('stream-canvas').focus();
    await page.keyboard.press(' ');
    expect(await page.getByTestId('pause').getAttribute('aria-pressed')).toBe('true');
    await page.keyboard.press('ArrowLeft');
    const tip = page.getByTestId('task-tip');
    const first = await tip.innerText();
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowLeft');
    expect(await tip.innerText()).not.toBe(first);
    await page.keyboard.press('Escape');
    await tip.waitFor({ state: 'detached' });
  });
});

describe('the page', () => {
  it('says how to submit while there is no job', async () => {
    const { url } = await started('--idle');
    const { page, complaints } = await open(url);
    expect(await page.getByTestId('no-job').innerText()).toContain('graticule mosaic');
    expect(await page.getByTestId('workers').innerText()).toContain('No worker has joined');
    expect(complaints).toEqual([]);
  });

  it('reconnects by itself when the cluster is back', async () => {
    const first = await replay('--speed', '5', '--once');
    const { page } = await open(first.url);
    await until(page, 'tasks', (text) => (numbers(text)[0] ?? 0) > 40);
    await first.stop();
    await until(page, 'link', (text) => text.includes('Reconnecting'));
    expect(await page.getByTestId('layer').count()).toBe(5);
    await started('--idle', '--port', new URL(first.url).port);
    await until(page, 'link', (text) => text.includes('Live'));
    await page.getByTestId('no-job').waitFor();
  });

  it('uses server-sent events where sockets do not pass', async () => {
    const { url } = await started('--speed', '5', '--once');
    const page = await newPage();
    await page.routeWebSocket(/api\/live$/, (socket) => socket.close());
    await page.goto(url);
    await until(page, 'link', (text) => text.includes('Live'));
    await until(page, 'tasks', (text) => (numbers(text)[0] ?? 0) > 20);
  });

  it('follows the system in its theme until one is chosen, and keeps the choice', async () => {
    const { url } = await started('--idle');
    const { page } = await open(url, { colorScheme: 'dark' });
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await ground();
    await page.emulateMedia({ colorScheme: 'light' });
    const light = await ground();
    expect(light).not.toBe(dark);
    await page.getByTestId('theme').click();
    expect(await ground()).toBe(dark);
    await page.reload();
    expect(await ground()).toBe(dark);
  });

  it('shows names and errors as text, never as markup', async () => {
    const { url } = await started('--idle');
    const hostile = '<img src=x onerror=alert(1)><script>alert(2)</script>';
    const { page, complaints } = await scripted(url, [
      snapshot({
        head: head({ dropped: 12 }),
        jobs: [job(0, { name: hostile, state: 'failed', message: hostile })],
        layers: [layer(0, { name: hostile, origin: hostile })],
        workers: [worker(0, { name: hostile, address: hostile })],
      }),
    ]);
    await until(page, 'job', (text) => text.includes(hostile));
    expect(await page.getByTestId('layer').innerText()).toContain(hostile);
    expect(await page.locator('img, main script').count()).toBe(0);
    expect(await page.getByTestId('dropped').innerText()).toContain('12');
    expect(complaints).toEqual([]);
  });

  it('asks to be reloaded when the cluster runs another release', async () => {
    const { url } = await started('--idle');
    const { page } = await scripted(url, [snapshot({ v: 99 })]);
    expect(await page.getByRole('alert').innerText()).toContain('another release');
  });

  it('takes a fresh snapshot when a frame is missing', async () => {
    const { url } = await started('--idle');
    const page = await newPage();
    let connections = 0;
    await page.routeWebSocket(/api\/live$/, (socket) => {
      connections += 1;
      socket.send(JSON.stringify(snapshot({ seq: 1, head: head({ total: connections * 100 }) })));
      if (connections === 1) socket.send(JSON.stringify({ ...snapshot({ seq: 9 }), kind: 'delta' }));
    });
    await page.goto(url);
    await until(page, 'tasks', (text) => text.includes('200'));
    expect(connections).toBe(2);
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`has no accessibility violation that axe knows of, ${colorScheme}`, async () => {
      const { url } = await started('--speed', '5', '--once');
      const { page } = await open(url, { colorScheme });
      await until(page, 'worker', (text) => text.includes('lost'));
      expect(await violations(page)).toEqual([]);
    });
  }

  it('asks nobody else for anything', async () => {
    const { url } = await started('--speed', '5', '--once');
    const page = await newPage();
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    await page.goto(url);
    await until(page, 'tasks', (text) => (numbers(text)[0] ?? 0) > 20);
    expect(asked.filter((address) => !address.startsWith(url) && !address.startsWith('data:'))).toEqual([]);
    expect(asked.length).toBeLessThanOrEqual(6);
  });
});
