import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'vite';
import { expect, test } from 'vitest';
import { launchChromium } from './browser';

test('the page and its worker run from the sources, as `npm start` serves them after a fresh install', async () => {
  const cacheDir = mkdtempSync(join(tmpdir(), 'tessera-vite-'));
  const server = await createServer({
    logLevel: 'error',
    cacheDir,
    server: { port: 0, host: '127.0.0.1', watch: null },
  });
  const browser = await launchChromium({ webgpu: false });
  try {
    await server.listen();
    const page = await browser.newPage();
    page.setDefaultTimeout(240_000);
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    await page.goto(server.resolvedUrls?.local[0] ?? '');
    await page.waitForSelector('#send:enabled');
    await page.click('#settings-button');
    await page.fill('#setting-temperature', '0');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'What is the capital of France?' }).click();
    await page.locator('.stats').waitFor();
    expect(await page.locator('.markdown').innerText()).toMatch(/capital of France/);
    expect(complaints).toEqual([]);
  } finally {
    await browser.close();
    await server.close();
    rmSync(cacheDir, { recursive: true });
  }
});
