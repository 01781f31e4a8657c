import { existsSync, readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { launchChromium } from './browser';
import { generateInTerminal } from './terminal';

const SITE = inject('site');

const DEMO = 'public/models/demo.q8_0.gguf';
const draft = readFileSync('public/models/draft.q8_0.gguf');
/** What llama.cpp says on the CPU, where the file is there. */
const EXPECTED = '../shared/demo-model/expected.json';

let browser: Browser;
let page: Page;
/** What the browser complains about: a violated Content-Security-Policy, an uncaught error. None is allowed. */
let complaints: string[];

async function openPage(from: Browser): Promise<void> {
  page = await from.newPage();
  page.setDefaultTimeout(240_000);
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  await page.goto(SITE);
  await page.waitForSelector('#send:enabled');
}

async function ask(text: string): Promise<void> {
  await page.fill('#prompt', text);
  await page.keyboard.press('Enter');
}

/** A software adapter makes a token or two a second: answers are kept short. */
async function set(settings: Readonly<Record<'temperature' | 'seed' | 'max_tokens', number | ''>>): Promise<void> {
  await page.click('#settings-button');
  for (const [name, value] of Object.entries(settings)) await page.fill(`#setting-${name}`, String(value));
  await page.keyboard.press('Escape');
}

/** Greedy, so that an answer does not depend on a seed. */
const answerGreedily = (maxTokens: number) => set({ temperature: 0, seed: '', max_tokens: maxTokens });

const answers = () => page.locator('.turn.answer');
const finished = (index: number) => answers().nth(index).locator('.stats').waitFor();
const textOf = async (index: number) => (await answers().nth(index).locator('.markdown').innerText()).trim();
/** The text that has come when it has more characters than this, seen while the answer still goes on. */
async function begun(characters: number): Promise<string> {
  const text = await page.waitForFunction((n) => {
    const text = document.querySelector('.markdown')?.textContent?.trim() ?? '';
    return text.length > n && document.querySelector('#stop')?.checkVisibility() ? text : undefined;
  }, characters);
  return (await text.jsonValue()) ?? '';
}

function withBytes(change: (bytes: Buffer<ArrayBuffer>) => Buffer): Buffer {
  return change(Buffer.from(draft));
}

async function openFile(name: string, buffer: Buffer): Promise<void> {
  await page.setInputFiles('#model-file', { name, mimeType: 'application/octet-stream', buffer });
}

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

// One page for all: a software adapter compiles the kernels of a model for half a minute.
describe('the chat page on WebGPU', () => {
  beforeAll(async () => {
    complaints = [];
    await openPage(browser);
    expect(complaints).toEqual([]);
  });

  beforeEach(() => page.click('#new-chat'));

  test('streams an answer of the demo model and shows what was measured', async () => {
    await answerGreedily(12);
    await ask('Who are you?');
    const partial = await begun(10);
    await finished(0);
    const whole = await textOf(0);
    expect(whole).toContain('tiny demo model');
    expect(whole.startsWith(partial)).toBe(true);
    expect(whole.length).toBeGreaterThan(partial.length);
    const stats = await page.locator('.stats').innerText();
    expect(stats).toMatch(/to first token/);
    expect(stats).toMatch(/tokens\/s/);
    expect(stats).toMatch(/15 prompt \+ 12 generated tokens/);
    expect(stats).toMatch(/swiftshader/i);
    expect(await page.locator('#model-where').innerText()).toMatch(/swiftshader/i);
    expect(await page.locator('#announcer').textContent()).toBe(whole);
    expect(await page.locator('.turn-note').innerText()).toMatch(/longest length/);
    expect(await page.locator('#composer-note').innerText()).toMatch(/tiny demonstration.*often wrong/);
    if (existsSync(EXPECTED)) {
      const expected = JSON.parse(readFileSync(EXPECTED, 'utf8')) as { question: string; text: string }[];
      expect(expected.find(({ question }) => question === 'Who are you?')?.text.startsWith(whole)).toBe(true);
    }
  });

  test('the terminal says the same for the same seed', async () => {
    await set({ temperature: 0.8, seed: 7, max_tokens: 12 });
    await ask('Tell me a story about a fox.');
    await finished(0);
    // The page's own settings for the rest.
    const sampling = ['--temperature', '0.8', '--top-k', '40', '--top-p', '0.95', '--min-p', '0.05', '--seed', '7'];
    const prompt = ['--chat', '-p', 'Tell me a story about a fox.', '-n', '12'];
    const inTerminal = await generateInTerminal([DEMO, ...prompt, ...sampling]);
    expect(inTerminal.length).toBeGreaterThan(20);
    expect(await textOf(0)).toBe(inTerminal.trim());
  });

  test('stops in the middle, by button and by Esc, and goes on', async () => {
    await set({ temperature: '', seed: '', max_tokens: '' });
    await ask('Tell me a story about a fox.');
    await begun(5);
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
      const message = await error.innerText();
      expect(message).toMatch(/^Could not load broken-\d\.gguf\. .{20,} Tiny Demo still answers\.$/);
      expect(message.match(/broken/gi)).toHaveLength(1);
    }
    await page.keyboard.press('Escape');
    await ask('Hello!');
    await finished(0);
    expect(await textOf(0)).toMatch(/^Hello!/);
  });

  test('a chat that has outgrown the context goes on, and says what is no longer seen', async () => {
    await answerGreedily(2);
    await ask('story '.repeat(600));
    await finished(0);
    const note = answers().nth(0).locator('.turn-note');
    expect(await note.innerText()).toMatch(
      /outgrown the model’s context: it no longer sees \d+ tokens from the middle/,
    );
    await ask('Hello!');
    await finished(1);
  });

  test('on a phone nothing is wider than the screen', async () => {
    const desktop = page.viewportSize();
    await page.setViewportSize({ width: 390, height: 844 });
    await answerGreedily(3);
    await ask('What is FlashAttention? '.repeat(3));
    await finished(0);
    for (const panel of [undefined, '#settings-button', '#model-button']) {
      if (panel) await page.click(panel);
      const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      expect(tooWide).toBeLessThanOrEqual(0);
      if (panel) await page.keyboard.press('Escape');
    }
    if (desktop) await page.setViewportSize(desktop);
  });

  test('a local file is loaded and answers, and the page survives a reload', async () => {
    await answerGreedily(3);
    await openFile('my-draft.gguf', draft);
    await page.waitForFunction(() => document.querySelector('#model-name')?.textContent?.match(/draft/i));
    expect(await page.locator('#model-dialog').isVisible()).toBe(false);
    await ask('Hello!');
    await finished(0);
    expect(await textOf(0)).not.toBe('');
    await page.reload();
    // Sent before the model is there again: it goes out when it is.
    await page.waitForFunction(() => document.querySelector('#model-name')?.textContent === 'Loading…');
    await ask('Hello!');
    expect(await page.locator('#composer-note').innerText()).toMatch(/as soon as the model is loaded/);
    await finished(0);
    expect(await page.inputValue('#prompt')).toBe('');
    expect(await page.locator('.stats').innerText()).toMatch(/12 prompt \+ 3 generated tokens/);
  });
});

test('without WebGPU the demo answers on the reference executor, and the page says so', async () => {
  const plain = await launchChromium({ webgpu: false });
  try {
    await openPage(plain);
    const notice = page.locator('#no-gpu');
    expect(await notice.isVisible()).toBe(true);
    expect(await notice.textContent()).toMatch(/No WebGPU here.*reference executor.*hardware acceleration/s);
    expect(await page.locator('#model-where').innerText()).toBe('JavaScript, no GPU');
    await answerGreedily(24);
    await ask('Who are you?');
    await finished(0);
    expect(await textOf(0)).toContain('tiny demo model');
  } finally {
    await plain.close();
  }
});
