import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import type { BenchmarkReport } from '../../src/bench';
import { launchChromium } from './browser';

const SITE = inject('site');

let browser: Browser;
/** A violated Content-Security-Policy, an uncaught error: none is allowed. */
let complaints: string[];

beforeAll(async () => {
  browser = await launchChromium({ webgpu: true });
});

afterAll(async () => {
  await browser?.close();
});

beforeEach(() => {
  complaints = [];
});

afterEach(() => expect(complaints).toEqual([]));

async function open(viewport: { width: number; height: number }): Promise<Page> {
  const context = await browser.newContext({ viewport, permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await context.newPage();
  page.setDefaultTimeout(240_000);
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  await page.goto(SITE);
  await page.click('a[href$="benchmark.html"]');
  await page.waitForSelector('#run:enabled');
  return page;
}

const tooWide = (page: Page) => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

test('measures the draft model after a self-test, charts it, and hands it out', async () => {
  const page = await open({ width: 390, height: 844 });
  await page.selectOption('#bench-model', { label: 'llama-3.2-3b, q8_0 (3.4 GB)' });
  expect(await page.locator('#bench-model-note').innerText()).toMatch(/Random weights of this shape/);
  await page.selectOption('#bench-model', { index: 1 });
  await page.click('#run');
  await page.locator('#verdict').waitFor();
  expect(await page.locator('#cancel').isVisible()).toBe(true);
  await page.locator('#export').waitFor();
  expect(await page.locator('#verdict').innerText()).toMatch(/^Self-test: \d+ checks passed, none failed\.$/);
  expect(await page.locator('#chart canvas').isVisible()).toBe(true);
  expect(await page.locator('#chart').getAttribute('aria-label')).toMatch(/prefill.*128: [\d.]+ GFLOP\/s/);
  const titles = await page.locator('#tables h3').allInnerTexts();
  for (const title of ['Run', 'Machine', 'Load and first token', 'Prefill', 'Decode', 'Rows of one step']) {
    expect(titles).toContain(title);
  }
  expect(await tooWide(page)).toBeLessThanOrEqual(0);

  await page.click('#copy');
  await page.getByText('Copied.').waitFor();
  const markdown = await page.evaluate(() => navigator.clipboard.readText());
  expect(markdown).toMatch(/^\| adapter \| .*swiftshader.* \|$/im);
  expect(markdown).toMatch(/^\| 128 \| [\d.]+ \| /m);

  const downloading = page.waitForEvent('download');
  await page.click('#download');
  const stream = await (await downloading).createReadStream();
  let json = '';
  for await (const piece of stream) json += String(piece);
  const report = JSON.parse(json) as BenchmarkReport;
  expect(report.environment.runtime).toMatch(/Chrome/);
  expect(report.generation?.callsPerToken?.bindGroups).toBe(0);
  expect(report.model.activationType).toBe('f32');
  // A software adapter is not tuned, which is said.
  expect(report.leftOut.map(({ what }) => what)).toContain('tuning: every kernel runs with its default');
  expect(report.decode[0].fractionOfBandwidth).toBeGreaterThan(0);
  await page.context().close();
});

test('a run can be cancelled, and a broken file says what is wrong', async () => {
  const page = await open({ width: 1280, height: 800 });
  await page.click('#run');
  await page.locator('#bench-doing', { hasText: 'elf-test' }).waitFor();
  await page.click('#cancel');
  await page.waitForSelector('#run:enabled');
  expect(await page.locator('#bench-progress').isVisible()).toBe(false);
  const broken = { name: 'broken.gguf', mimeType: 'application/octet-stream', buffer: Buffer.from('ZIPP and more') };
  await page.setInputFiles('#bench-file', broken);
  await page.click('#run');
  await page.locator('#bench-error').waitFor();
  expect(await page.locator('#bench-error').innerText()).toMatch(/^Could not measure broken\.gguf\. .{20,}/);
  // Several files are one model.
  const part = (number: number) => ({ ...broken, name: `whole-0000${number}-of-00002.gguf` });
  await page.setInputFiles('#bench-file', [part(1), part(2)]);
  await page.click('#run');
  await page.locator('#bench-error', { hasText: '2 files' }).waitFor();
  expect(await page.locator('#bench-error').innerText()).toMatch(
    /^Could not measure 2 files\. .*whole-00001-of-00002/i,
  );
  await page.context().close();
});
