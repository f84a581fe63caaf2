import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { FORMAT_VERSION } from '../../src/lib/frame';
import { arrayFrame, head, job, layer, snapshot, worker } from '../unit/fixtures';
import { browser, replay, type Replay } from './cluster';

/**
 * How long a picture takes at the sizes that are promised. The figures are printed; what is asserted leaves room for a
 * machine that has other things to do.
 */
let chromium: Browser;
let idle: Replay;

beforeAll(async () => {
  chromium = await browser();
  idle = await replay('--idle');
});

afterAll(async () => {
  await chromium.close();
  await idle.stop();
});

/** How long the pictures that `selector` tells of took, over as many of them. */
async function paintTimes(page: Page, selector: string, provoke: (step: number) => Promise<void>, steps: number) {
  const seen: number[] = [];
  for (let step = 0; step < steps; step += 1) {
    await page.locator(selector).first().evaluate((element) => delete (element as HTMLElement).dataset['paintMs']);
    await provoke(step);
    const took = await page.waitForFunction((of) => (document.querySelector(of) as HTMLElement).dataset['paintMs'], selector);
    seen.push(Number(await took.jsonValue()));
  }
  seen.sort((a, b) => a - b);
  const at = (share: number) => seen[Math.floor(seen.length * share)] ?? 0;
  return { half: at(0.5), most: at(0.95) };
}

it('an array of a million chunks', async () => {
  const count = 1 << 20;
  const cells = Array.from({ length: count }, (_, at) => [at % 7, 1 + (at % 3), 0, 60, at % 97]);
  const page = await chromium.newPage({ viewport: { width: 1440, height: 900 } });
  let send: (frame: Uint8Array) => void = () => undefined;
  await page.routeWebSocket(/api\/live$/, (socket) => socket.send(JSON.stringify(snapshot({ jobs: [job(0)], layers: [layer(0, { total: count })] }))));
  await page.routeWebSocket(/api\/live\/arrays/, (socket) => {
    send = (frame) => socket.send(Buffer.from(frame));
    send(arrayFrame('snapshot', 1, 0, cells));
  });
  await page.goto(`${idle.url}#/array/0/0`);
  await page.waitForFunction(() => (document.querySelector('.sheet canvas') as HTMLElement)?.dataset['paintMs']);
  const delta = (seq: number) => arrayFrame('delta', seq, 0, [[1, 0, 0, 0, 0]], [[seq * 1_000, 1]], count);
  const ms = await paintTimes(page, '.sheet canvas', async (step) => send(delta(step + 2)), 40);
  console.log(`a million chunks: half within ${ms.half.toFixed(1)} ms, p95 ${ms.most.toFixed(1)} ms a picture`);
  expect(ms.half).toBeLessThan(200);
});

it('a timeline of 128 lanes and a million tasks', async () => {
  const tile = () => {
    const bytes = [FORMAT_VERSION, 1, 0x80, 0x01];
    for (let lane = 0; lane < 128; lane += 1) {
      bytes.push(lane >> 2, lane & 3, 0x80, 0x02);
      for (let bucket = 0; bucket < 256; bucket += 1) bytes.push(1, 1 + ((bucket * 7 + lane) % 5), 1 + ((bucket + lane) % 15));
    }
    return Buffer.from(bytes);
  };
  const page = await chromium.newPage({ viewport: { width: 1440, height: 900 } });
  const end_us = 600_000_000;
  const workers = Array.from({ length: 32 }, (_, k) => worker(k, { slots: 4 }));
  const layers = Array.from({ length: 5 }, (_, k) => layer(k));
  await page.routeWebSocket(/api\/live$/, (socket) => socket.send(JSON.stringify(snapshot({ head: head({ now_us: end_us }), jobs: [job(0)], layers, workers }))));
  await page.route('**/api/timeline', (route) => route.fulfill({ json: { first_us: 0, end_us, tasks: 1_000_000, forgotten: 0 } }));
  await page.route('**/api/timeline/tiles/**', (route) => route.fulfill({ body: tile() }));
  await page.route('**/api/timeline/tasks/**', (route) => route.fulfill({ json: { tasks: null } }));
  await page.goto(`${idle.url}#/timeline`);
  const canvas = page.getByTestId('timeline-canvas');
  await canvas.focus();
  await page.keyboard.press('w');
  const keys = ['a', 'd', 'w', 's'];
  const ms = await paintTimes(page, '[data-testid=timeline-canvas]', async (step) => page.keyboard.press(keys[step % 4] ?? 'a'), 60);
  console.log(`128 lanes: half within ${ms.half.toFixed(1)} ms, p95 ${ms.most.toFixed(1)} ms a picture`);
  expect(ms.half).toBeLessThan(100);
});
