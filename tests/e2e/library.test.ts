import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build, preview } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium } from './browser';

let folder: string;
let library: string;

/** As strict as the policies of our own pages. */
const POLICY =
  "default-src 'none'; script-src 'self'; connect-src 'self'; worker-src 'self'; img-src 'self'; base-uri 'none'";

/** What somebody writes who uses the package in a page of their own. */
const CONSUMER = `
import { createEngine, deleteStoredSession, InvalidOptionError, listStoredSessions } from '../library/index.js';
window.result = (async () => {
  const engine = await createEngine({ model: './demo.q8_0.gguf' });
  const messages = [{ role: 'user', content: 'Who are you?' }];
  let text = '';
  let usage;
  for await (const chunk of await engine.chat.completions.create({ messages, temperature: 0, max_tokens: 10, stream: true })) {
    text += chunk.choices[0].delta.content ?? '';
    usage = chunk.usage ?? usage;
  }
  const refused = await engine.chat.completions.create({ messages, logit_bias: { 999999: 1 } }).catch((error) => error);
  const whole = await engine.chat.completions.create({ messages, temperature: 0, stop: [' demo'] });
  const schema = { type: 'object', properties: { name: { type: 'string', maxLength: 12 }, age: { type: 'integer', minimum: 0, maximum: 9 } }, required: ['name', 'age'] };
  const held = (schema) => engine.chat.completions.create({ messages, seed: 5, response_format: { type: 'json_schema', json_schema: { schema } } });
  const formed = JSON.parse((await held(schema)).choices[0].message.content);
  const unsound = await held({ type: 'objekt' }).catch((error) => error);
  const session = engine.createSession({ messages });
  await session.send('And who am I?', { temperature: 0, max_tokens: 4 });
  await session.save('about me');
  await engine.dispose();
  const other = await createEngine({ model: './demo.q8_0.gguf' });
  const again = await other.loadSession('about me');
  const answer = await again.send('Why?', { temperature: 0, max_tokens: 4 });
  const names = (await listStoredSessions()).map(({ name }) => name);
  await deleteStoredSession('about me');
  const gone = await other.loadSession('about me').catch((error) => error);
  await other.dispose();
  const stored = { names, left: (await listStoredSessions()).length, gone: gone.code, usage: answer.usage };
  return { formed, unsound: unsound instanceof InvalidOptionError && unsound.field, stored, text, usage, typed: refused instanceof InvalidOptionError, field: refused.field, cut: whole.choices[0].message.content };
})();
`;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-library-'));
  library = join(folder, 'library');
  await build({ mode: 'library', logLevel: 'error', build: { outDir: library } });
  const app = join(folder, 'app');
  mkdirSync(join(app, 'public'), { recursive: true });
  writeFileSync(
    join(app, 'index.html'),
    `<!doctype html><meta http-equiv="Content-Security-Policy" content="${POLICY}"><title>consumer</title><script type="module" src="./main.js"></script>`,
  );
  writeFileSync(join(app, 'main.js'), CONSUMER);
  cpSync('public/models/demo.q8_0.gguf', join(app, 'public', 'demo.q8_0.gguf'));
  await build({ root: app, base: './', configFile: false, logLevel: 'error', worker: { format: 'es' } });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a page of somebody else, built with the package, finds its worker and gets an answer', async () => {
  const server = await preview({
    root: join(folder, 'app'),
    configFile: false,
    logLevel: 'error',
    preview: { port: 0, host: '127.0.0.1' },
  });
  const browser = await launchChromium({ webgpu: true });
  try {
    const page = await browser.newPage();
    await page.goto(server.resolvedUrls?.local[0] ?? '');
    const result = await page.evaluate(
      () => (window as unknown as { result: Promise<Record<string, unknown>> }).result,
    );
    expect(result).toMatchObject({ typed: true, field: 'logit_bias', usage: { prompt_tokens: 15 } });
    // In the worker, by a chunk of its own that was fetched for it.
    const formed = result['formed'] as { name: string; age: number };
    expect(Object.keys(formed)).toEqual(['name', 'age']);
    expect(formed.name.length).toBeLessThanOrEqual(12);
    expect([...Array(10).keys()]).toContain(formed.age);
    expect(result['unsound']).toBe('response_format.json_schema.schema');
    // All that was said before is taken from the stored keys and values: the new message alone is computed.
    expect(result['stored']).toMatchObject({ names: ['about me'], left: 0, gone: 'invalid_option' });
    const { prompt_tokens, prompt_tokens_details } = (result['stored'] as { usage: Record<string, never> }).usage;
    expect(prompt_tokens - (prompt_tokens_details as { cached_tokens: number }).cached_tokens).toBeLessThan(20);
    expect(result['text']).toContain('tiny demo model');
    expect(result['cut']).toBe((result['text'] as string).split(' demo')[0]);
  } finally {
    await browser.close();
    await server.close();
  }
});

/** The files that a page loads at once with `entry`; the engine for the calling thread is imported only with `worker: false`. */
function loadedWith(entry: string, seen = new Set<string>()): Set<string> {
  if (seen.has(entry)) return seen;
  seen.add(entry);
  const code = readFileSync(join(library, entry), 'utf8');
  for (const [, file] of code.matchAll(/\b(?:from|import)\s*"\.\/([^"]+)"/g)) loadedWith(file, seen);
  return seen;
}

test('the package with its worker stays small', () => {
  const files = [...loadedWith('index.js'), ...loadedWith('worker.js')];
  const code = files.map((name) => readFileSync(join(library, name)));
  expect(code.reduce((bytes, file) => bytes + gzipSync(file).length, 0)).toBeLessThan(165_000);
  expect(code.some((file) => file.includes('transformers.js'))).toBe(false);
  expect(code.some((file) => file.includes('data:application/octet-stream'))).toBe(false);
});
