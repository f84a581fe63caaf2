import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import type { Page } from 'playwright-core';
import { afterEach, describe, expect, it } from 'vitest';

import { stage, until } from './cluster';

/**
 * How soon what happens is seen, and how a very long run is looked at. The figures are printed; what is asserted leaves room
 * for a machine that has other things to do. Without `GRATICULE_FLOOD_BIN`, the built example `flood`, nothing is measured.
 */
const program = process.env['GRATICULE_FLOOD_BIN'];
const TASKS = Number(process.env['GRATICULE_FLOOD_TASKS'] ?? 10_000_000);
const RATE = Number(process.env['GRATICULE_FLOOD_RATE'] ?? 100_000);
const { open } = stage();

/** A dashboard that is told of very many tasks: its address, when it began, and what it says at its end. */
interface Flood {
  url: string;
  began_ms: number;
  summary: Promise<string>;
}

let running: ChildProcess | null = null;
afterEach(async () => {
  if (!running) return;
  const ended = once(running, 'exit');
  // It reads its input only once all is told.
  running.kill();
  await ended;
  running = null;
});

async function flood(rate: number, tasks: number): Promise<Flood> {
  const child = spawn(program ?? '', ['--rate', String(rate), '--tasks', String(tasks)], { stdio: ['pipe', 'pipe', 'inherit'] });
  running = child;
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async () => String((await lines.next()).value);
  const [url, began_ms] = [await next(), Number(await next())];
  return { url, began_ms, summary: next() };
}

function part(sorted: number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? NaN;
}

const told = (ms: number[]) => {
  const sorted = [...ms].sort((a, b) => a - b);
  return `half within ${part(sorted, 0.5).toFixed(1)} ms, p95 ${part(sorted, 0.95).toFixed(1)} ms, p99 ${part(sorted, 0.99).toFixed(1)} ms`;
};

/** Each number of ended tasks that the head shows, and when the picture that shows it was there, in Unix time. */
const countsSeen = (page: Page, seconds: number) =>
  page.evaluate(async (for_ms) => {
    const shown = document.querySelector('[data-testid=tasks] b') as HTMLElement;
    const seen: [count: number, at_ms: number][] = [];
    const look = () =>
      requestAnimationFrame(() => {
        const count = Number((shown.textContent ?? '').replace(/\D/g, ''));
        const { port1, port2 } = new MessageChannel();
        // Comes once the picture of this frame has been made.
        port2.onmessage = () => seen.push([count, performance.timeOrigin + performance.now()]);
        port1.postMessage(null);
      });
    const observer = new MutationObserver(look);
    observer.observe(shown, { characterData: true, childList: true, subtree: true });
    await new Promise((done) => setTimeout(done, for_ms));
    observer.disconnect();
    return seen;
  }, seconds * 1_000);

/** Milliseconds from one picture of the browser to the next while `act` goes on. */
async function frameTimes(page: Page, act: () => Promise<void>): Promise<number[]> {
  await page.evaluate(() => {
    const state = window as unknown as { frames: number[]; going: boolean };
    [state.frames, state.going] = [[], true];
    let last = performance.now();
    requestAnimationFrame(function step(now) {
      state.frames.push(now - last);
      last = now;
      if (state.going) requestAnimationFrame(step);
    });
  });
  await act();
  return page.evaluate(() => {
    const state = window as unknown as { frames: number[]; going: boolean };
    state.going = false;
    return state.frames.slice(1);
  });
}

describe.runIf(program)('a flood of tasks', () => {
  it('is seen soon after it happens, at 10,000 tasks a second', async () => {
    const rate = 10_000;
    const { url, began_ms } = await flood(rate, 100 * rate);
    const { page, complaints } = await open(url);
    await until(page, 'tasks', (text) => /Tasks\s+[1-9]/.test(text));
    const seen = await countsSeen(page, 20);
    const late: number[] = [];
    let before = seen[0]?.[0] ?? 0;
    for (const [count, at_ms] of seen.slice(1)) {
      for (let task = before + 1; task <= count; task += 1) late.push(at_ms - (began_ms + (task / rate) * 1_000));
      before = Math.max(before, count);
    }
    console.log(`event to pixel at ${rate} tasks/s, ${late.length} tasks, ${seen.length} pictures: ${told(late)}`);
    expect(late.length).toBeGreaterThan(10 * rate);
    expect(part([...late].sort((a, b) => a - b), 0.5)).toBeLessThan(1_000);
    expect(complaints).toEqual([]);
  });

  it('is all on the timeline, however long it was', async () => {
    const { url, summary } = await flood(RATE, TASKS);
    const { page, complaints } = await open(`${url}#/timeline`);
    console.log(await summary);
    const timeline = (await (await fetch(`${url}api/timeline`)).json()) as { tasks: number; forgotten: number };
    console.log(`on the timeline: ${timeline.tasks} tasks, ${timeline.forgotten} forgotten`);
    expect(timeline.forgotten).toBe(0);
    const canvas = page.getByTestId('timeline-canvas');
    await canvas.focus();
    await page.keyboard.press('Home');
    const began = Date.now();
    await page.keyboard.press('Enter');
    const sum = await until(page, 'sums', (text) => /^([\d ]+) tasks/.exec(text.replaceAll('\u00a0', ' ')));
    console.log(`the sum of all: ${sum[1]} tasks, after ${Date.now() - began} ms`);
    await page.keyboard.press('Escape');

    const paints: number[] = [];
    const press = async (key: string) => {
      await canvas.evaluate((element) => delete (element as HTMLElement).dataset['paintMs']);
      await page.keyboard.press(key);
      const took = await page.waitForFunction(() => (document.querySelector('[data-testid=timeline-canvas]') as HTMLElement).dataset['paintMs']);
      paints.push(Number(await took.jsonValue()));
    };
    // Into the middle and back, and along.
    const keys = ['w', 'w', 'a', 'd', 'w', 'd', 'w', 'a', 's', 's', 'd', 'a', 's', 's'];
    const keyed = await frameTimes(page, async () => {
      for (let round = 0; round < 6; round += 1) for (const key of keys) await press(key);
    });
    await page.keyboard.press('Home');
    await press('w');
    const box = (await canvas.boundingBox())!;
    const [middle, y] = [box.x + box.width / 2, box.y + box.height / 3];
    const dragged = await frameTimes(page, async () => {
      await page.mouse.move(middle, y);
      await page.mouse.down();
      for (let step = 0; step < 200; step += 1) await page.mouse.move(middle + 300 * Math.sin(step / 20), y);
      await page.mouse.up();
    });
    console.log(`pictures of the timeline: ${told(paints)}; frames while looking closer and wider: ${told(keyed)}; while dragging: ${told(dragged)}`);
    expect(part([...paints].sort((a, b) => a - b), 0.5)).toBeLessThan(100);
    expect(complaints).toEqual([]);
  }, 300_000);
});
