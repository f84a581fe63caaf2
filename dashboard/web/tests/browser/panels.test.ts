import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { FrameLocator, Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';

import { PAGES, type PageName } from '../../src/lib/router.svelte';
import { violations } from './axe';
import { stage } from './cluster';
import { SHOWN } from './pages';

const { newPage, open, started, behind } = stage();

const PREFIX = '/user/x/proxy/8787/';

/** What Dask's extension for JupyterLab asks the dashboard for. */
async function panels(url: string): Promise<[title: string, path: string][]> {
  return Object.entries((await (await fetch(`${url}individual-plots.json`)).json()) as Record<string, string>);
}

/** What a notebook around a panel comes to. */
const framed = (url: string) => `<!doctype html><html lang="en"><title>A notebook</title><link rel="icon" href="data:,">
  <iframe title="Panel" sandbox="allow-scripts allow-same-origin" src="${url}" width="640" height="420"></iframe>`;

/** A page at `at` that shows `url` in a frame, as JupyterLab does, and what the browser says to that. */
async function framing(at: string, url: string): Promise<{ page: Page; frame: FrameLocator; said: string[] }> {
  const page = await newPage({ viewport: { width: 700, height: 480 } });
  const said: string[] = [];
  page.on('console', (message) => message.type() === 'error' && said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  await page.route(at, (route) => route.fulfill({ contentType: 'text/html', body: framed(url) }));
  await page.goto(at);
  return { page, frame: page.frameLocator('iframe'), said };
}

const pageOf = (path: string) => PAGES.find((name) => path.startsWith(`#/${name}?`)) ?? 'overview';

describe('panels', () => {
  it('are all pages but the one of a single worker', async () => {
    const { url } = await started('--idle');
    const listed = (await panels(url)).map(([, path]) => pageOf(path));
    expect([...listed, 'worker'].sort()).toEqual([...PAGES].sort());
  });

  it('fit the frame of a notebook behind the same proxy, without what leads elsewhere', async () => {
    const { url } = await started('--speed', '8', '--once', '--scaling');
    const proxy = await behind(url, PREFIX);
    const all = await panels(proxy.url);
    const lab = new URL('/user/x/lab', proxy.url).href;
    for (const [title, path] of all) {
      const { page, frame, said } = await framing(lab, `${proxy.url}${path}`);
      const [testid, text] = SHOWN[pageOf(path) as PageName];
      await frame.getByTestId(testid).filter({ hasText: text }).first().waitFor();
      expect(await frame.getByRole('navigation').count(), title).toBe(0);
      expect(await frame.getByTestId('link').count(), title).toBe(0);
      const beyond = await frame.locator('html').evaluate((html) => html.scrollWidth - html.clientWidth);
      expect(beyond, title).toBeLessThanOrEqual(0);
      expect(said, title).toEqual([]);
      await page.close();
    }
  });

  it('stay panels when a link is followed', async () => {
    const { url } = await started('--speed', '8', '--once');
    const { page, complaints } = await open(`${url}#/workers?embedded`);
    await page.getByTestId('roster-row').getByRole('link', { name: 'worker-1' }).click();
    await page.getByTestId('worker-facts').waitFor();
    expect(page.url()).toContain('#/worker/0?embedded');
    expect(await page.getByRole('navigation').count()).toBe(0);
    expect(await violations(page)).toEqual([]);
    expect(complaints).toEqual([]);
  });

  it('say that the cluster does not answer', async () => {
    const { url } = await started('--idle');
    const proxy = await behind(url, PREFIX);
    const { page } = await open(`${proxy.url}#/?embedded`);
    await page.getByTestId('no-job').waitFor();
    await proxy.stop();
    await page.getByTestId('link-lost').waitFor();
  });

  it('are shown by a notebook at another port of this machine, and by no other site', async () => {
    const { url } = await started('--idle');
    const notebooks = createServer((_, answer) => answer.writeHead(200, { 'content-type': 'text/html' }).end(framed(`${url}#/?embedded`)));
    notebooks.listen(0, '127.0.0.1');
    await once(notebooks, 'listening');
    const { port } = notebooks.address() as AddressInfo;
    const near = await open(`http://localhost:${port}/lab`);
    await near.page.frameLocator('iframe').getByTestId('no-job').waitFor();
    expect(near.complaints).toEqual([]);
    const far = await open(`http://notebooks.example:${port}/lab`);
    await expect.poll(() => far.complaints.join('\n'), { timeout: 20_000 }).toContain('frame-ancestors');
    expect(await far.page.frameLocator('iframe').getByTestId('no-job').count()).toBe(0);
    notebooks.close();
  });
});

/** A JupyterLab with jupyter-server-proxy and dask-labextension, where `GRATICULE_JUPYTER_LAB` names its program. */
const program = process.env['GRATICULE_JUPYTER_LAB'];

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

async function jupyter(): Promise<{ url: string; stop: () => Promise<void> }> {
  const port = await freePort();
  const words = ['--no-browser', '--allow-root', `--ServerApp.port=${port}`, '--IdentityProvider.token=', '--ServerApp.base_url=/user/x/', '--ServerApp.root_dir=/tmp'];
  const child = spawn(program ?? '', words, { stdio: 'ignore' });
  const url = `http://127.0.0.1:${port}/user/x/`;
  const isThere = () => fetch(`${url}api`).then((answer) => answer.ok, () => false);
  await expect.poll(isThere, { timeout: 60_000, interval: 300 }).toBe(true);
  return {
    url,
    stop: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

describe.runIf(program)('JupyterLab', () => {
  it('shows panels through jupyter-server-proxy, by the extension for Dask', async () => {
    const { url } = await started('--speed', '8', '--once');
    const lab = await jupyter();
    try {
      const { page } = await open(`${lab.url}lab`);
      await page.getByRole('tab', { name: 'Dask' }).click({ timeout: 60_000 });
      await page.getByPlaceholder('DASK DASHBOARD URL').fill(`proxy/${new URL(url).port}/`);
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: 'Workers', exact: true }).click();
      const frame = page.frameLocator('.dask-DaskDashboard-widget iframe');
      await frame.getByTestId('roster-row').filter({ hasText: 'worker-1' }).waitFor();
      expect(await frame.getByRole('navigation').count()).toBe(0);
    } finally {
      await lab.stop();
    }
  }, 180_000);
});
