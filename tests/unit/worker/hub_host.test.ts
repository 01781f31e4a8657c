/** A repository through the SDK in Node: no store, so it is read by ranges. */
import { readFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { createEngine, type LoadProgress, OutOfMemoryError } from '../../../src/index';
import { serveHub } from '../../support/hub_server';

test('createEngine with owner/name loads from the hub that the environment names, and answers', async () => {
  const draft = new Uint8Array(readFileSync('public/models/draft.q8_0.gguf'));
  await using hub = await serveHub({
    repositories: { 'owner/draft': { 'draft-Q8_0.gguf': draft } },
    gated: { 'owner/draft': 'hf_token' },
  });
  vi.stubEnv('HF_ENDPOINT', hub.url);
  const progress: LoadProgress[] = [];
  const settings = { model: 'owner/draft', backend: 'reference', worker: false, contextLength: 64 } as const;
  await expect(createEngine(settings)).rejects.toThrow(/gated/);
  const engine = await createEngine({ ...settings, token: 'hf_token', onProgress: (each) => progress.push(each) });
  const { choices } = await engine.chat.completions.create({
    messages: [{ role: 'user', content: 'Hi' }],
    max_tokens: 2,
    temperature: 0,
  });
  expect(choices[0].message.content.length).toBeGreaterThan(0);
  expect(progress.at(-1)).toMatchObject({ phase: 'weights' });
  await engine.dispose();

  vi.stubGlobal('navigator', { deviceMemory: 0.25 });
  await expect(createEngine({ ...settings, token: 'hf_token' })).rejects.toThrow(OutOfMemoryError);
  vi.unstubAllGlobals();
  vi.unstubAllEnvs();
});
