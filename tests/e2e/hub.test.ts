/** Models of a hub in the page: downloaded, kept in the browser, there again after a reload without the hub, deleted. */
import { readFileSync } from 'node:fs';
import type { Browser, Page, Route } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { DEFAULT_HUB } from '../../src/storage/hub/repository';
import { fileId, lockName } from '../../src/storage/store/model_store';
import { type HubServer, serveHub } from '../support/hub_server';
import { asRepository, LLAMA_CHECKPOINT, readFixture } from '../support/hugging_face';
import { launchChromium } from './browser';

const SITE = inject('site');

let hub: HubServer;
let browser: Browser;
let page: Page;
let online = true;
const complaints: string[] = [];

const draft = new Uint8Array(readFileSync('public/models/draft.q8_0.gguf'));

/** The page knows one hub: what it asks huggingface.co for comes from the local one, redirects included. */
async function answerForTheHub(route: Route): Promise<void> {
  if (!online) return await route.abort('internetdisconnected');
  const request = route.request();
  const { pathname, search } = new URL(request.url());
  const response = await fetch(hub.url + pathname + search, {
    method: request.method(),
    headers: await request.allHeaders(),
  });
  const headers = Object.fromEntries([...response.headers].filter(([name]) => name !== 'content-encoding'));
  await route.fulfill({ status: response.status, headers, body: Buffer.from(await response.arrayBuffer()) });
}

beforeAll(async () => {
  hub = await serveHub({
    repositories: { 'owner/draft-GGUF': { 'draft-Q8_0.gguf': draft, 'README.md': new Uint8Array(10) } },
    gated: { 'owner/secret': 'hf_x' },
  });
  Object.assign(hub.manners.repositories, { 'owner/secret': {} });
  // No adapter: loading is what is tested, and the reference executor starts at once.
  browser = await launchChromium({ webgpu: false });
  const context = await browser.newContext();
  await context.route('https://huggingface.co/**', answerForTheHub);
  page = await context.newPage();
  page.setDefaultTimeout(240_000);
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(SITE);
  await page.waitForSelector('#send:enabled');
});

afterAll(async () => {
  await browser?.close();
  await hub?.[Symbol.asyncDispose]();
});

beforeEach(() => {
  online = true;
  complaints.length = 0;
});

async function openPanel(): Promise<void> {
  if (!(await page.isVisible('#model-dialog'))) await page.click('#model-button');
  await listed();
}

/** What can be chosen is there, with what is stored. */
async function listed(): Promise<void> {
  await page.waitForSelector('#model-choices', { state: 'visible' });
  await page.waitForSelector('#stored-section[aria-busy="false"]', { state: 'attached' });
}

async function loadTyped(text: string): Promise<void> {
  await openPanel();
  await page.fill('#repository', text);
  await page.click('#repository-form > button');
}

const modelName = () => page.locator('#model-name').innerText();

test('a repository typed by hand is downloaded, kept, and loads without the hub after a reload', async () => {
  await loadTyped('owner/draft-GGUF');
  await page.waitForSelector('#model-dialog', { state: 'hidden' });
  const name = await modelName();
  expect(name).toMatch(/draft/i);
  const sent = hub.requests.reduce((sum, { bytes }) => sum + bytes, 0);
  // The whole file once; its header, for which a window larger than this file is read, on the GPU, to count parameters and on the reference.
  expect(sent).toBeGreaterThan(draft.length);
  expect(sent).toBeLessThan(4.1 * draft.length);

  online = false;
  await page.reload();
  await page.waitForSelector('#send:enabled');
  expect(await modelName()).not.toBe(name);
  await openPanel();
  expect(await page.innerText('#stored-models')).toContain('draft-Q8_0.gguf');
  await page.click('#stored-models button:has-text("Load")');
  await page.waitForSelector('#model-dialog', { state: 'hidden' });
  expect(await modelName()).toBe(name);
  expect(complaints).toEqual([]);
});

test('a stored model can be deleted', async () => {
  await openPanel();
  await page.click('#stored-models button:has-text("Delete")');
  await page.waitForSelector('#stored-section', { state: 'hidden' });
  const left = await page.evaluate(async () => {
    const names: string[] = [];
    const directory = await (await navigator.storage.getDirectory()).getDirectoryHandle('tessera-models');
    for await (const key of directory.keys()) names.push(key);
    return names;
  });
  expect(left).toEqual([]);
  expect(complaints).toEqual([]);
});

test('where what is stored cannot be read, the page says so', async () => {
  await page.keyboard.press('Escape');
  await page.evaluate(() => {
    const { prototype } = FileSystemDirectoryHandle;
    const keys = Object.getOwnPropertyDescriptor(prototype, 'keys') ?? {};
    const once = () => {
      Object.defineProperty(prototype, 'keys', keys);
      throw new DOMException('the disk is gone', 'NotReadableError');
    };
    Object.defineProperty(prototype, 'keys', { ...keys, value: once });
  });
  await openPanel();
  expect(await page.innerText('#stored-note')).toMatch(/could not be read.*the disk is gone/);
  await page.keyboard.press('Escape');
  await openPanel();
  expect(await page.isVisible('#stored-section')).toBe(false);
  expect(complaints).toEqual([]);
});

/** Loads the repository and waits for what is said of keeping it; the panel stays open for that. */
async function noticeOfLoading(): Promise<string> {
  await loadTyped('owner/draft-GGUF');
  await page.waitForSelector('#model-notice', { state: 'visible' });
  await listed();
  expect(await modelName()).toMatch(/draft/i);
  expect(await page.isVisible('#stored-section')).toBe(false);
  return await page.innerText('#model-notice');
}

test('without room, or while another tab downloads it, a model runs without being kept, and the page says so', async () => {
  const devtools = await page.context().newCDPSession(page);
  const origin = new URL(SITE).origin;
  await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 100_000 });
  expect(await noticeOfLoading()).toMatch(/no room left/);
  await devtools.send('Storage.overrideQuotaForOrigin', { origin });

  // The other tab: whoever writes a file holds the lock of its name.
  const key = { hub: DEFAULT_HUB, repository: 'owner/draft-GGUF', revision: 'main', path: 'draft-Q8_0.gguf' };
  const other = await page.context().newPage();
  await other.goto(`${SITE}icon.svg`);
  await other.evaluate(
    (name) => {
      void navigator.locks.request(name, () => new Promise(() => {}));
    },
    lockName(fileId(key)),
  );
  expect(await noticeOfLoading()).toMatch(/another tab is downloading it/);
  await other.close();
  expect(complaints).toEqual([]);
});

test('what the hub refuses is said, and the model before goes on answering', async () => {
  const before = await modelName();
  for (const [typed, message] of [
    ['owner/none', /gated, private or does not exist/],
    ['owner/secret', /accept its terms on https:\/\/huggingface\.co/],
    ['owner/draft-GGUF:other.gguf', /other\.gguf is missing/],
  ] as const) {
    await loadTyped(typed);
    await page.waitForFunction(
      (text) => new RegExp(text).test(document.querySelector('#model-error')?.textContent ?? ''),
      message.source,
    );
    expect(await modelName()).toBe(before);
  }
  online = false;
  await loadTyped('owner/draft-GGUF');
  await page.waitForFunction(() => /no connection/i.test(document.querySelector('#model-error')?.textContent ?? ''));
  await page.fill('#repository', 'not a repository');
  await page.click('#repository-form > button');
  expect(await page.getAttribute('#repository', 'aria-invalid')).toBe('true');
});

test('a dropped folder with safetensors loads', async () => {
  const files = asRepository(await readFixture('tests/fixtures/models/llama-gqa.gguf'), LLAMA_CHECKPOINT);
  const plain = Object.entries(files).map(([path, content]) => ({
    path,
    base64: Buffer.from(content as Uint8Array).toString('base64'),
  }));
  await page.keyboard.press('Escape');
  await page.evaluate((plain) => {
    const entries = plain.map(({ path, base64 }) => {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      return {
        isFile: true,
        fullPath: `/tiny/${path}`,
        file: (done: (file: File) => void) => done(new File([bytes], path)),
      };
    });
    let handed = false;
    const readEntries = (done: (entries: unknown[]) => void) => {
      done(handed ? [] : entries);
      handed = true;
    };
    const folder = { isFile: false, fullPath: '/tiny', createReader: () => ({ readEntries }) };
    const event = new DragEvent('drop', { cancelable: true, bubbles: true });
    const dataTransfer = { types: ['Files'], items: [{ webkitGetAsEntry: () => folder }], files: [] };
    Object.defineProperty(event, 'dataTransfer', { value: dataTransfer });
    document.dispatchEvent(event);
  }, plain);
  await page.waitForFunction(() => document.querySelector('#model-name')?.textContent === 'tiny');
  expect(complaints).toEqual([]);
});
