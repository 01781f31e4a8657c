import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { launchChromium } from './browser';

const SITE = inject('site');

let browser: Browser;
let page: Page;

// One page for all: a software adapter compiles the kernels of a model for half a minute.
beforeAll(async () => {
  browser = await launchChromium({ webgpu: true });
  page = await browser.newPage();
  page.setDefaultTimeout(240_000);
  // Keeps hold of the page's workers, so that a test can end one.
  await page.addInitScript(() => {
    const workers: Worker[] = [];
    Object.assign(window, { workers });
    window.Worker = class extends Worker {
      constructor(url: string | URL, options?: WorkerOptions) {
        super(url, options);
        workers.push(this);
      }
    };
  });
  await page.goto(SITE);
  await page.waitForSelector('#send:enabled');
  await page.click('#settings-button');
  await page.fill('#setting-temperature', '0');
  // Long enough that the answer still goes on when the fault comes.
  await page.fill('#setting-max_tokens', '32');
  await page.keyboard.press('Escape');
});

afterAll(async () => {
  await browser?.close();
});

const answers = () => page.locator('.turn.answer');

async function ask(text: string): Promise<void> {
  await page.fill('#prompt', text);
  await page.keyboard.press('Enter');
}

async function answerTo(text: string): Promise<string> {
  await ask(text);
  const answer = answers().last();
  await answer.locator('.stats').waitFor();
  return (await answer.locator('.markdown').innerText()).trim();
}

async function crashGpuProcess(): Promise<void> {
  expect(await page.locator('#stop').isVisible()).toBe(true);
  const session = await browser.newBrowserCDPSession();
  await session.send('Browser.crashGpuProcess');
}

const begun = () =>
  page.waitForFunction(
    () => (document.querySelector('.turn.answer:last-child .markdown')?.textContent?.length ?? 0) > 5,
  );

test('a worker that is terminated in the middle of an answer: an error, and the next question starts another', async () => {
  await ask('Tell me a story about a fox.');
  await begun();
  await page.evaluate(() => (window as unknown as { workers: Worker[] }).workers[0].terminate());
  const card = page.locator('.error-card');
  await card.waitFor();
  expect(await card.innerText()).toMatch(/the worker was terminated.*Try again/is);
  expect(await answerTo('Who are you?')).toContain('tiny demo model');
  expect(await page.evaluate(() => (window as unknown as { workers: Worker[] }).workers.length)).toBe(2);
});

test('a GPU process that crashes in the middle of an answer: the same answer goes on', async () => {
  await page.click('#new-chat');
  const question = 'Tell me a story about a fox.';
  const uninterrupted = await answerTo(question);
  await page.click('#new-chat');
  await ask(question);
  await begun();
  await crashGpuProcess();
  await answers().last().locator('.stats').waitFor();
  expect((await answers().last().locator('.markdown').innerText()).trim()).toBe(uninterrupted);
});

test('a GPU process that crashes again soon after: an error instead of endless attempts', async () => {
  await page.click('#new-chat');
  await ask('Tell me a story about a fox.');
  await begun();
  await crashGpuProcess();
  const card = page.locator('.error-card');
  await card.waitFor();
  expect(await card.innerText()).toMatch(/lost twice in a row.*Try again/is);
});
