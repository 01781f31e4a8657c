import { expect, test } from 'vitest';
import { fileSource } from '../../../src/cli/file_source';
import { Engine } from '../../../src/engine/engine';
import { GREEDY, type Runner } from '../../../src/engine/runner';
import { loadModel } from '../../../src/model/load_model';
import { seeded } from '../../support/seeded';

/** Gemma 2's layers in turn slide over a window and see everything. */
const MODEL = 'tests/fixtures/models/gemma2.gguf';
const CONTEXT = 160;

/** `maxRows` chooses: steps of a whole context leave nothing to save, and the layers share one pool. */
async function open(maxRows: number) {
  const source = await fileSource(MODEL);
  return await loadModel(source, { backend: 'reference', contextLength: CONTEXT, maxRows, maxSlots: 2 });
}

const random = seeded(4);
const tokens = (count: number) => Array.from({ length: count }, () => 3 + Math.floor(150 * random()));
const request = (promptTokens: readonly number[], maxTokens: number) => ({
  promptTokens,
  maxTokens,
  sampling: GREEDY,
  stopTokens: new Set<number>(),
});

test('layers that slide keep a smaller pool, and what they compute is the same to the bit', async () => {
  const [smaller, shared] = await Promise.all([open(16), open(CONTEXT)]);
  const { sliding, numPages } = smaller.runner.limits;
  expect(shared.runner.limits.sliding).toBeUndefined();
  expect(sliding?.numPages).toBeLessThan(numPages);
  expect(smaller.description.memory.kv).toBeLessThan(shared.description.memory.kv);
  const prompt = tokens(CONTEXT - 44);
  const results = await Promise.all(
    [smaller, shared].map(async ({ runner }) => {
      let pagesInUse = 0;
      const engine: Engine = new Engine(runner, {
        onStep: () => {
          pagesInUse = Math.max(pagesInUse, engine.metrics.sliding?.pagesInUse ?? 0);
          engine.checkIntegrity();
        },
      });
      const logits: Float32Array[] = [];
      await engine.score({ promptTokens: prompt, onLogits: (_, row) => void logits.push(row.slice()) });
      // Side by side, one that begins like the other, and a second turn.
      const [first, other] = await Promise.all([
        engine.generate(request(prompt, 20)).drain(),
        engine.generate(request(prompt.slice(0, 70), 20)).drain(),
      ]);
      const turn = [...prompt, ...first.outputTokens, 7, 8, 9];
      const second = await engine.generate(request(turn, 5)).drain();
      const outputs = [first, other, second].map(({ outputTokens }) => outputTokens);
      expect(second.cachedTokens).toBeGreaterThanOrEqual(prompt.length);
      return { logits, outputs, pagesInUse };
    }),
  );
  expect(results[0].logits.length).toBe(prompt.length);
  expect(results[0].logits).toEqual(results[1].logits);
  expect(results[0].outputs).toEqual(results[1].outputs);
  expect(results[0].pagesInUse).toBeGreaterThan(1);
  expect(results[0].pagesInUse).toBeLessThanOrEqual(sliding?.numPages ?? 0);
});

test('pages come back from bytes and from host memory as they were', async () => {
  const [{ runner }, fresh] = await Promise.all([open(16), open(16)]);
  const prompt = tokens(90);
  const engine = new Engine(runner);
  const { outputTokens } = await engine.generate(request(prompt, 30)).drain();
  const other = new Engine(fresh.runner);
  // Other pages than those that it had.
  await other.generate(request(tokens(60), 20)).drain();
  await other.loadPrefix(await engine.savePrefix(prompt));
  const again = await other.generate(request(prompt, 30)).drain();
  expect(again).toMatchObject({ cachedTokens: prompt.length - 1, outputTokens });

  // Two of these need eight pages.
  const limits = { ...runner.limits, numPages: 6 };
  const small: Runner = Object.create(runner, { limits: { value: limits } });
  const swapping = new Engine(small, { preemption: 'swap', prefixCache: false });
  const prompts = [prompt.slice(0, 60), prompt.slice(30)];
  const run = (engine: Engine) => Promise.all(prompts.map((each) => engine.generate(request(each, 40)).drain()));
  const swapped = await run(swapping);
  expect(swapping.metrics.swapped.in).toBeGreaterThan(0);
  const alone = await run(new Engine(runner, { prefixCache: false }));
  expect(swapped.map((result) => result.outputTokens)).toEqual(alone.map((result) => result.outputTokens));
});
