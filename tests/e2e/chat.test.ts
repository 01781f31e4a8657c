import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { launchChromium, serveSite } from './browser';

const draft = readFileSync('public/models/draft.q8_0.gguf');

let site: Awaited<ReturnType<typeof serveSite>>;
let browser: Browser;
let page: Page;
/** What the browser complains about: a violated Content-Security-Policy, an uncaught error. None is allowed. */
let complaints: string[];

async function openPage(options: Parameters<Browser['newPage']>[0] = {}, from = browser): Promise<void> {
  page = await from.newPage(options);
  page.setDefaultTimeout(90_000);
  complaints = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  await page.goto(site.url);
  await page.waitForSelector('#send:enabled');
}

async function ask(text: string): Promise<void> {
  await page.fill('#prompt', text);
  await page.keyboard.press('Enter');
}

/** Greedy, so that an answer does not depend on a seed, and short: a software adapter makes a token or two a second. */
async function answerGreedily(maxTokens: number): Promise<void> {
  await page.click('#settings-button');
  await page.fill('#setting-temperature', '0');
  await page.fill('#setting-max_tokens', String(maxTokens));
  await page.keyboard.press('Escape');
}

const answers = () => page.locator('.turn.answer');
const finished = (index: number) => answers().nth(index).locator('.stats').waitFor();
const textOf = async (index: number) => (await answers().nth(index).locator('.markdown').innerText()).trim();

function withBytes(change: (bytes: Buffer<ArrayBuffer>) => Buffer): Buffer {
  return change(Buffer.from(draft));
}

async function openFile(name: string, buffer: Buffer): Promise<void> {
  await page.setInputFiles('#model-file', { name, mimeType: 'application/octet-stream', buffer });
}

beforeAll(async () => {
  site = await serveSite();
  browser = await launchChromium({ webgpu: true });
});

afterAll(async () => {
  await browser?.close();
  await site?.close();
});

afterEach(async () => {
  const seen = complaints;
  await page.close();
  expect(seen).toEqual([]);
});

describe('the chat page on WebGPU', () => {
  beforeEach(() => openPage());

  test('streams an answer of the demo model and shows what was measured', async () => {
    await answerGreedily(12);
    await ask('Who are you?');
    await page.waitForFunction(() => (document.querySelector('.markdown')?.textContent?.length ?? 0) > 10);
    expect(await page.locator('#stop').isVisible()).toBe(true);
    const partial = await textOf(0);
    await finished(0);
    const whole = await textOf(0);
    expect(whole).toContain('tiny demo model');
    expect(whole.startsWith(partial)).toBe(true);
    expect(whole.length).toBeGreaterThan(partial.length);
    const stats = await page.locator('.stats').innerText();
    expect(stats).toMatch(/to first token/);
    expect(stats).toMatch(/tokens\/s/);
    expect(stats).toMatch(/15 prompt \+ \d+ generated tokens/);
    expect(await page.locator('#model-where').innerText()).toMatch(/swiftshader/i);
    expect(await page.locator('#announcer').textContent()).toBe(whole);
    expect(await page.locator('.turn-note').innerText()).toMatch(/longest length/);
    expect(await page.locator('#composer-note').innerText()).toMatch(/tiny demonstration.*often wrong/);
  });

  test('stops in the middle, by button and by Esc, and goes on', async () => {
    await ask('Tell me a story about a fox.');
    await page.waitForFunction(() => (document.querySelector('.markdown')?.textContent?.length ?? 0) > 5);
    await page.click('#stop');
    await finished(0);
    expect(await page.locator('.stats').innerText()).toMatch(/^Stopped after \d+ tokens$/);
    await ask('Tell me a story about a cat.');
    await answers().nth(1).waitFor();
    await page.keyboard.press('Escape');
    await finished(1);
    expect(await page.locator('#send').isVisible()).toBe(true);
    await answers().nth(1).getByRole('button', { name: 'Try again' }).click();
    await page.locator('#stop').waitFor();
    await page.click('#new-chat');
    expect(await answers().count()).toBe(0);
    expect(await page.locator('#welcome').isVisible()).toBe(true);
  });

  test('a local file is loaded and answers, and the page survives a reload', async () => {
    await answerGreedily(6);
    await openFile('my-draft.gguf', draft);
    await page.waitForFunction(() => document.querySelector('#model-name')?.textContent?.match(/draft/i));
    expect(await page.locator('#model-dialog').isVisible()).toBe(false);
    await ask('Hello!');
    await finished(0);
    await page.reload();
    await page.waitForSelector('#send:enabled');
    await ask('Hello!');
    await finished(0);
    expect(await textOf(0)).not.toBe('');
  });

  test('broken files: a clear error each, and the previous model still answers', async () => {
    await answerGreedily(3);
    const broken = [
      withBytes((bytes) => bytes.subarray(0, bytes.length / 2)),
      withBytes((bytes) => bytes.subarray(0, 5000)),
      withBytes((bytes) => (bytes.write('ZIPP'), bytes)),
      withBytes((bytes) => (bytes.writeBigUInt64LE(2n ** 60n, 8), bytes)),
      Buffer.alloc(0),
    ];
    for (const [i, file] of broken.entries()) {
      await openFile(`broken-${i}.gguf`, file);
      const error = page.locator('#model-error', { hasText: `broken-${i}.gguf` });
      await error.waitFor();
      expect(await error.innerText()).toMatch(/^Could not load broken-\d\.gguf\. .{20,} still answers\.$/);
    }
    await page.keyboard.press('Escape');
    await ask('Hello!');
    await finished(0);
    expect(await textOf(0)).not.toBe('');
  });

  test('a chat that has outgrown the context says so and offers a new one', async () => {
    await answerGreedily(2);
    await ask('story '.repeat(600));
    const card = page.locator('.error-card');
    await card.waitFor();
    expect(await card.innerText()).toMatch(/This chat has grown to \d+ tokens, and the model’s context holds 512/);
    await card.getByRole('button', { name: 'New chat' }).click();
    await ask('Hello!');
    await finished(0);
  });
});

test('without WebGPU the demo answers on the reference executor, and the page says so', async () => {
  const plain = await launchChromium({ webgpu: false });
  try {
    await openPage({}, plain);
    const notice = page.locator('#no-gpu');
    expect(await notice.isVisible()).toBe(true);
    expect(await notice.textContent()).toMatch(/No WebGPU here.*reference executor.*hardware acceleration/s);
    expect(await page.locator('#model-where').innerText()).toBe('JavaScript, no GPU');
    await answerGreedily(24);
    await ask('Who are you?');
    await finished(0);
    expect(await textOf(0)).toContain('tiny demo model');
  } finally {
    await page.context().close();
    await plain.close();
  }
});

test('on a phone nothing is wider than the screen', async () => {
  await openPage({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await answerGreedily(6);
  await ask('What is FlashAttention? '.repeat(3));
  await finished(0);
  for (const panel of [undefined, '#settings-button', '#model-button']) {
    if (panel) await page.click(panel);
    expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0);
    if (panel) await page.keyboard.press('Escape');
  }
});
