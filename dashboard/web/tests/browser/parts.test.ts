import { expect, it } from 'vitest';

import { stage, until } from './cluster';
import { seePage, SHOWN } from './pages';

const { newPage, started } = stage();
const PART = /assets\/[0-9a-f]{16}\/[A-Za-z]+\.js$/;

it('parts come after the first picture, and then pages need no server', async () => {
  const { url } = await started();
  const page = await newPage();
  const asked: string[] = [];
  page.on('requestfinished', (request) => PART.test(request.url()) && asked.push(request.url().split('/').at(-1) ?? ''));
  await page.goto(url);
  await until(page, 'layer', (text) => text.includes('median'));
  const all = ['Arrays', 'Communication', 'Expression', 'Insights', 'Logs', 'Memory', 'Runs', 'Scaling', 'Task', 'Timeline', 'Worker', 'Workers'];
  while (!all.every((name) => asked.includes(`${name}.js`))) await page.waitForEvent('requestfinished');
  // From here on no part comes any more, as if another release ran.
  await page.route(PART, (route) => route.fulfill({ status: 404 }));
  for (const name of Object.keys(SHOWN) as (keyof typeof SHOWN)[]) if (name !== 'runs') await seePage(page, name);
  expect(await page.getByTestId('part-missing').count()).toBe(0);
});

it('a part that is gone is said, with a way out', async () => {
  const { url } = await started();
  const fresh = await newPage();
  await fresh.route(/\/Timeline\.js$/, (route) => route.fulfill({ status: 404 }));
  await fresh.goto(`${url}#/timeline`);
  expect(await until(fresh, 'part-missing', (text) => text)).toContain('another release');
  await fresh.unroute(/\/Timeline\.js$/);
  await fresh.getByRole('button', { name: 'Reload the page' }).click();
  expect(await until(fresh, 'shown', (text) => /\d/.test(text))).toBeTruthy();
});
