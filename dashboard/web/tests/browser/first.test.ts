import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';

import { stage } from './cluster';

/**
 * How soon a page that is opened says something, and what travels for it. The figures are printed; of the time is asserted
 * only what leaves room for a machine that has other things to do.
 */
const ROUNDS = 9;
const REQUEST_COUNT_MAX = 6;
const BYTES_MAX = 110_000;
/** Another dashboard beside ours, such as `http://127.0.0.1:8788/status` of a Dask cluster with work. */
const peer = process.env['GRATICULE_PEER_DASHBOARD'];
const { newPage, started } = stage();

interface First {
  ms: number;
  requests: number;
  /** Of the page and its parts. */
  bytes: number;
  /** Of frames until then. */
  framed: number;
}

/** Opens a page with nothing in the browser's cache, and waits until `selector` has something and has been drawn. */
async function first(url: string, selector: string): Promise<First> {
  const context = (await newPage({ viewport: { width: 1440, height: 900 } })) as Page;
  const told = { requests: 0, bytes: 0, framed: 0 };
  const network = await context.context().newCDPSession(context);
  await network.send('Network.enable');
  network.on('Network.requestWillBeSent', () => (told.requests += 1));
  network.on('Network.loadingFinished', ({ encodedDataLength }) => (told.bytes += encodedDataLength));
  network.on('Network.webSocketFrameReceived', ({ response }) => (told.framed += response.payloadData.length));
  await context.addInitScript((wanted) => {
    const state = window as unknown as { first_ms: number };
    // What bokeh draws is below shadow roots.
    const find = (root: Document | ShadowRoot): boolean =>
      root.querySelector(wanted) !== null || [...root.querySelectorAll('*')].some((element) => element.shadowRoot && find(element.shadowRoot));
    requestAnimationFrame(function look() {
      if (!find(document)) return void requestAnimationFrame(look);
      const { port1, port2 } = new MessageChannel();
      // Comes once the picture of this frame has been made.
      port2.onmessage = () => (state.first_ms = performance.now());
      port1.postMessage(null);
    });
  }, selector);
  await context.goto(url);
  const ms = await context.waitForFunction(() => (window as unknown as { first_ms?: number }).first_ms);
  const seen = { ms: Number(await ms.jsonValue()), ...told };
  await context.close();
  return seen;
}

async function measured(name: string, url: string, selector: string): Promise<First> {
  const all: First[] = [];
  for (let round = 0; round < ROUNDS; round += 1) all.push(await first(url, selector));
  all.sort((a, b) => a.ms - b.ms);
  const middle = all[ROUNDS >> 1] as First;
  console.log(`${name}: the first picture with work after ${middle.ms.toFixed(0)} ms (${all[0]?.ms.toFixed(0)} to ${all[ROUNDS - 1]?.ms.toFixed(0)}), ${middle.requests} requests, ${(middle.bytes / 1_000).toFixed(0)} kB and ${(middle.framed / 1_000).toFixed(0)} kB of frames`);
  return middle;
}

it('a page says what goes on soon after it is opened', async () => {
  const { url } = await started('--speed', '1');
  const ours = await measured('Graticule', url, '[data-testid=layer]');
  expect(ours.requests).toBeLessThanOrEqual(REQUEST_COUNT_MAX);
  expect(ours.bytes).toBeLessThan(BYTES_MAX);
  expect(ours.ms).toBeLessThan(2_000);
  const onLogs = await measured('Logs', `${url}#/logs`, '[data-testid=log-line]');
  // Its part, what parts share, and what it asks for; the other parts come later.
  expect(onLogs.bytes).toBeLessThan(150_000);
  if (peer) await measured('the other', peer, 'canvas');
});
