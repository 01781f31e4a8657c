import type { Browser, Page } from 'playwright-core';
import { createServer, type ViteDevServer } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MarkdownView } from '../../src/pages/chat/markdown';
import { launchChromium } from './browser';

interface TestWindow {
  readonly MarkdownView: typeof MarkdownView;
}

let server: ViteDevServer;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  server = await createServer({ logLevel: 'error', server: { port: 0, host: '127.0.0.1', watch: null, hmr: false } });
  await server.listen();
  browser = await launchChromium({ webgpu: false });
  page = await browser.newPage();
  page.setDefaultTimeout(240_000);
  // Of the page only its Content-Security-Policy is wanted: in place of its script comes the module under test.
  const body = "import { MarkdownView } from '/src/pages/chat/markdown.ts'; Object.assign(window, { MarkdownView });";
  await page.route('**/main.ts', (route) => route.fulfill({ contentType: 'text/javascript', body }));
  await page.goto(server.resolvedUrls?.local[0] ?? '');
  await page.waitForFunction(() => 'MarkdownView' in window);
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
});

/** Renders a text as it would stream in, cut after each of `steps`, and returns the HTML at the end. */
async function render(text: string, steps: readonly number[] = []): Promise<string> {
  return await page.evaluate(
    ({ text, steps }) => {
      const { MarkdownView } = window as unknown as TestWindow;
      const view = new MarkdownView(document.body.appendChild(document.createElement('div')));
      for (const step of steps) view.update(text.slice(0, step));
      view.update(text);
      return view.element.innerHTML;
    },
    { text, steps },
  );
}

/** Every element of the last rendering, with its attributes. */
async function lastRendered(): Promise<{ tag: string; attributes: string[][] }[]> {
  return await page.evaluate(() =>
    Array.from(document.body.lastElementChild?.querySelectorAll('*') ?? [], (element) => ({
      tag: element.tagName,
      attributes: Array.from(element.attributes, ({ name, value }) => [name, value]),
    })),
  );
}

test('what is dangerous in a model’s Markdown does not reach the page', async () => {
  const requests: string[] = [];
  page.on('request', (request) => requests.push(request.url()));
  for (const text of [
    '<img src=x onerror="document.title = 1">',
    '<script>document.title = 1</script>',
    'a <iframe src="https://example.com/"></iframe> b',
    '![pixel](https://example.com/pixel.png)',
    '![pixel][p]\n\n[p]: https://example.com/pixel.png',
    '[click](javascript:document.title=1)',
    '[click](  JaVaScRiPt:document.title=1)',
    '[click](data:text/html,<script>1</script>)',
    '<a href="https://example.com" onclick="1">x</a>',
    '<style>body { display: none }</style>',
    '```html\n<img src=x>\n```',
    '<svg><a xlink:href="javascript:1">x</a></svg>',
    '[x](https://example.com "a\\" onmouseover=1")',
  ]) {
    await render(text);
    for (const { tag, attributes } of await lastRendered()) {
      expect(tag, text).not.toMatch(/^(img|script|iframe|style|svg|form)$/i);
      for (const [name, value] of attributes) {
        expect(['href', 'title', 'rel', 'target'], text).toContain(name);
        if (name === 'href') expect(value, text).toMatch(/^https:\/\//);
      }
    }
  }
  expect(await page.title()).toMatch(/Tessera/);
  expect(requests.filter((url) => url.includes('example.com'))).toEqual([]);
});

test('links open elsewhere and tell nothing', async () => {
  const html = await render('see [this](https://example.com/a?b=1&c=2)');
  expect(html).toMatch(/<a [^>]*href="https:\/\/example.com\/a\?b=1&amp;c=2"/);
  expect(html).toMatch(/rel="noopener noreferrer nofollow"/);
  expect(html).toMatch(/target="_blank"/);
});

test('Markdown is rendered, and the same whether it came at once or in pieces', async () => {
  const text =
    '# Title\n\nSome **bold** and `code`.\n\n1. one\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```js\nx < 1\n```\n\n> quoted';
  const whole = await render(text);
  for (const part of [
    '<h1>Title</h1>',
    '<strong>bold</strong>',
    '<code>code</code>',
    '<li>two</li>',
    '<td>2</td>',
    'x &lt; 1',
    '<blockquote>',
  ]) {
    expect(whole).toContain(part);
  }
  const everyStep = Array.from({ length: text.length }, (_, i) => i);
  expect(await render(text, everyStep)).toBe(whole);
});

test('blocks that are complete stay the same elements while the text grows', async () => {
  const kept = await page.evaluate(() => {
    const { MarkdownView } = window as unknown as TestWindow;
    const view = new MarkdownView(document.createElement('div'));
    view.update('first\n\nsec');
    const paragraph = view.element.querySelector('p');
    view.update('first\n\nsecond\n\nthird');
    return view.element.querySelector('p') === paragraph && view.element.querySelectorAll('p').length === 3;
  });
  expect(kept).toBe(true);
});
