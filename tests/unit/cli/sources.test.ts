/** Where a MODEL argument may point: folders, split files, repositories. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { main } from '../../../src/cli/main';
import { type HubServer, serveHub } from '../../support/hub_server';
import { asRepository, LLAMA_CHECKPOINT, readFixture } from '../../support/hugging_face';
import type { WrittenFiles } from '../../support/safetensors_writer';

const FIXTURE = 'tests/fixtures/models/llama-gqa.gguf';
const LOGITS = ['--tokens', '1,333,385,7', '--top', '5', '--greedy', '4', '--backend', 'reference', '--json'];

interface Logits {
  readonly positions: readonly { readonly top: readonly (readonly [token: number, logprob: number])[] }[];
  readonly greedy: readonly number[];
}

let directory: string;
let repository: WrittenFiles;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tessera-sources-'));
  repository = asRepository(await readFixture(FIXTURE), LLAMA_CHECKPOINT);
  write('tiny', repository);
});

afterAll(() => rmSync(directory, { recursive: true }));
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

function write(folder: string, files: WrittenFiles): string {
  for (const [path, content] of Object.entries(files)) {
    const full = join(directory, folder, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, content);
  }
  return join(directory, folder);
}

async function tessera(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  let out = '';
  let err = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    out += String(chunk);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    err += String(chunk);
    return true;
  });
  const status = await main(args);
  vi.restoreAllMocks();
  return { status, out, err };
}

async function json<T>(...args: string[]): Promise<T> {
  const { status, out, err } = await tessera(...args);
  expect(err.includes('tessera ') ? err : '').toBe('');
  expect(status).toBe(0);
  return JSON.parse(out) as T;
}

describe('safetensors in a folder', () => {
  it('answer as the same weights in a GGUF file do, to the last bit of the reference', async () => {
    const expected = await json<Logits>('logits', FIXTURE, ...LOGITS);
    expect(await json<Logits>('logits', join(directory, 'tiny'), ...LOGITS)).toEqual(expected);
    expect(await json<Logits>('logits', join(directory, 'tiny/model.safetensors'), ...LOGITS)).toEqual(expected);
  });

  it('quantised while they are loaded answer nearly the same, and say what they are', async () => {
    const exact = await json<Logits>('logits', FIXTURE, ...LOGITS);
    const quantized = await json<Logits>('logits', join(directory, 'tiny'), ...LOGITS, '--quantize', 'q8_0');
    const logprob = ({ positions }: Logits) => positions[3].top[0][1];
    expect(logprob(quantized)).not.toBe(logprob(exact));
    expect(Math.abs(logprob(quantized) - logprob(exact))).toBeLessThan(0.05);
    const { storageTypes } = await json<{ storageTypes: { type: string; tensors: number }[] }>(
      'inspect',
      join(directory, 'tiny'),
      '--quantize',
      'q4_0',
      '--json',
    );
    // Three layers of seven matrices, the table and the head; two norms a layer and the last one stay.
    expect(storageTypes.map(({ type, tensors }) => [type, tensors])).toEqual(
      expect.arrayContaining([
        ['F32', 7],
        ['Q4_0', 23],
      ]),
    );
    expect(storageTypes).toHaveLength(2);
    expect((await tessera('inspect', FIXTURE, '--quantize', 'q3_k')).err).toMatch(/--quantize.*q3_k/);
  });

  it('without a configuration, or a folder without a model, is an error that says so', async () => {
    const { 'config.json': _, ...rest } = repository as Record<string, string>;
    expect((await tessera('inspect', `${write('bare', rest)}/model.safetensors`)).err).toMatch(
      /config\.json is missing/,
    );
    expect((await tessera('inspect', write('empty', { 'notes.txt': 'x' }))).err).toMatch(/no \.gguf file.*notes\.txt/);
  });
});

describe('a repository of the hub', () => {
  let hub: HubServer;

  beforeAll(async () => {
    const fixture = new Uint8Array(readFileSync(FIXTURE));
    const demo = new Uint8Array(readFileSync('public/models/demo.q8_0.gguf'));
    const bytes = (files: WrittenFiles) =>
      Object.fromEntries(
        Object.entries(files).map(([path, content]) => [
          path,
          typeof content === 'string' ? new TextEncoder().encode(content) : content,
        ]),
      );
    hub = await serveHub({
      repositories: {
        'owner/tiny-GGUF': { 'README.md': new Uint8Array(9), 'tiny-F32.gguf': fixture, 'tiny-Q8_0.gguf': demo },
        'owner/tiny': bytes(repository),
        'meta/gated': {},
      },
      gated: { 'meta/gated': 'hf_right' },
    });
  });

  afterAll(async () => await hub[Symbol.asyncDispose]());

  it('is inspected without downloading a weight', async () => {
    vi.stubEnv('HF_ENDPOINT', hub.url);
    hub.requests.length = 0;
    const found = await json<{ file: { name: string; bytes: number } }>('inspect', 'owner/tiny-GGUF', '--json');
    expect(found.file.name).toBe('owner/tiny-GGUF/tiny-Q8_0.gguf');
    expect(found.file.bytes).toBe(statSync('public/models/demo.q8_0.gguf').size);
    // The header is read in windows of 1 MiB, the vocabulary in it; the weights are 3.9 MB.
    expect(hub.requests.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(1.2e6);
    hub.requests.length = 0;
    await json('inspect', 'owner/tiny', '--json');
    const weights = hub.requests.filter(({ url, place }) => place === 'cdn' && url.includes('model.safetensors'));
    expect(weights.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(10_000);
  });

  it('runs, by a file of it or as safetensors', async () => {
    vi.stubEnv('HF_ENDPOINT', hub.url);
    const expected = await json<Logits>('logits', FIXTURE, ...LOGITS);
    expect(await json<Logits>('logits', 'owner/tiny-GGUF:tiny-F32.gguf', ...LOGITS)).toEqual(expected);
    expect(await json<Logits>('logits', 'owner/tiny@main', ...LOGITS)).toEqual(expected);
  });

  it.each([
    ['owner/none', /owner\/none: it is gated, private or does not exist/],
    ['owner/tiny-GGUF:other.gguf', /owner\/tiny-GGUF: other\.gguf is missing/],
    ['owner/tiny@v9', /owner\/tiny@v9: there is no revision "v9"/],
    ['meta/gated', /meta\/gated: it is gated \(401\): accept its terms on http.*access token/],
  ])('%s is refused in one line that says what to do', async (model, message) => {
    vi.stubEnv('HF_ENDPOINT', hub.url);
    const { status, err } = await tessera('inspect', model);
    expect(status).toBe(1);
    expect(err).toMatch(message);
    expect(err.trim().split('\n')).toHaveLength(1);
  });
});
