import { describe, expect, it } from 'vitest';

import { PAGES, REPLAYED } from '../../src/lib/router.svelte';
import { stage, until } from './cluster';
import { seePage } from './pages';

const { open, started, behind } = stage();

/** Goes through all pages of the cluster, and those of its first run. */
async function seeAll(url: string): Promise<{ asked: string[]; complaints: string[] }> {
  const { page, complaints } = await open(url);
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('response', (response) => response.status() >= 400 && complaints.push(`${response.status()} ${response.url()}`));
  await until(page, 'link', (text) => text.includes('Live'));
  for (const name of PAGES) await seePage(page, name);
  for (const name of REPLAYED) await seePage(page, name, 'run/1/');
  await page.getByTestId('scrubber').waitFor();
  await page.getByRole('link', { name: 'Back to live' }).click();
  await until(page, 'link', (text) => text.includes('Live'));
  return { asked, complaints };
}

describe('every page', () => {
  for (const prefix of ['/', '/one/', '/user/x/proxy/8787/']) {
    it(`works behind a proxy below ${prefix}`, async () => {
      const { url } = await started('--speed', '8', '--once', '--scaling');
      const proxy = await behind(url, prefix);
      expect(new URL(proxy.url).pathname).toBe(prefix);
      const { asked, complaints } = await seeAll(proxy.url);
      expect(asked.filter((it) => !it.startsWith(proxy.url) && !it.startsWith('data:'))).toEqual([]);
      expect(complaints).toEqual([]);
    });
  }

  it('works behind a proxy that passes no WebSocket', async () => {
    const { url } = await started('--speed', '8', '--once', '--scaling');
    const proxy = await behind(url, '/user/x/proxy/8787/', '--no-websocket');
    const { asked, complaints } = await seeAll(proxy.url);
    expect(asked.filter((it) => it.endsWith('/api/events'))).not.toEqual([]);
    expect(asked.filter((it) => it.includes('/api/events/arrays/'))).not.toEqual([]);
    expect(complaints).toEqual([]);
  });
});
