import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileSource } from '../../src/cli/file_source';
import { GREEDY, PENDING_TOKEN, type Runner, type StepResult } from '../../src/engine/runner';
import type { LoadModelOptions } from '../../src/model/layout';
import { type LoadedModel, loadModel } from '../../src/model/load_model';
import { wholePool } from '../../src/model/whole_pool';
import { type ExpectedPrompt, type Fixture, findFixtures } from './fixtures';

const hasF16 = await (async () => {
  const adapter = await navigator.gpu.requestAdapter();
  return adapter?.features.has('shader-f16') ?? false;
})();

/**
 * TESSERA_MATRIX=full runs every fixture on every variant; `small`, the second implementation, two of the project's own llama fixtures and one
 * of each further file. Otherwise one of the project's own runs on every variant (f16 activations with subgroups or without), its others on two of them, and the shared ones, which use
 * the same kernels, on one. What takes turns does so from run to run, by TESSERA_TURN.
 */
const matrix = process.env['TESSERA_MATRIX'] ?? 'normal';
const TURN = Number(process.env['TESSERA_TURN']);
const ROUND = Math.floor(TURN / 2);

/** Tokens of a prompt that are fed one by one to the second implementation, which takes some 0.1 s for each: more than two pages of keys. */
const SMALL_PROMPT = 40;

interface Variant {
  /** Runs for every fixture, or only where the matrix is wide. */
  readonly always: boolean;
  readonly name: string;
  readonly options: Partial<LoadModelOptions>;
  /** Largest allowed difference of a listed log-probability. */
  readonly tolerance: number;
}

// f32 arithmetic: the fixtures' own advice for SiLU models. f16: design.md's 0.05.
const VARIANTS: readonly Variant[] = [
  { always: true, name: 'f32', options: { kvType: 'f32' }, tolerance: 2e-3 },
  { always: false, name: 'f16 KV cache', options: { kvType: 'f16' }, tolerance: 0.05 },
  ...(hasF16
    ? [
        {
          always: false,
          name: TURN % 2 === 0 ? 'f16 activations' : 'f16 activations without subgroups',
          options: { activationType: 'f16' as const, without: TURN % 2 === 0 ? [] : (['subgroups'] as const) },
          tolerance: 0.05,
        },
      ]
    : []),
  { always: false, name: 'without shader-f16', options: { without: ['shader-f16'], kvType: 'f32' }, tolerance: 2e-3 },
  { always: false, name: 'without subgroups', options: { without: ['subgroups'], kvType: 'f32' }, tolerance: 2e-3 },
  {
    always: true,
    name: 'without shader-f16 and subgroups, default limits',
    options: { without: ['shader-f16', 'subgroups'], defaultLimits: true },
    tolerance: 0.05,
  },
];

const REFERENCE: Variant = { ...VARIANTS[0], name: 'reference', options: { backend: 'reference' } };

const GELU_ARCHITECTURES: readonly string[] = [
  'gemma',
  'gemma2',
  'gemma3',
  'gemma4',
  'gpt2',
  'starcoder2',
  'falcon',
  'phi2',
];

/** Log-probabilities of every position of a prompt, fed in runs of the given size. */
async function score(runner: Runner, tokens: readonly number[], runLength: number): Promise<Float32Array[]> {
  const { pages, slidingPages } = wholePool(runner.limits);
  const tables = { pages: [...pages].reverse(), slidingPages };
  const rows: Float32Array[] = [];
  for (let position = 0; position < tokens.length; position += runLength) {
    const run = tokens.slice(position, position + runLength);
    const result = await runner.run({
      segments: [{ slot: 0, tokens: run, position, ...tables, sample: 'all', sampling: GREEDY, returnLogits: true }],
    });
    rows.push(...(result.segments[0].logits ?? []));
  }
  return rows.map(logSoftmax);
}

function logSoftmax(logits: Float32Array): Float32Array {
  const max = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const sum = logits.reduce((total, x) => total + Math.exp(x - max), 0);
  return logits.map((x) => x - max - Math.log(sum));
}

/** The largest difference over the five best of each position that has a row, and positions whose clear best token is not ours. */
function compare(prompt: ExpectedPrompt, rows: readonly Float32Array[]): { worst: number; wrongBest: number[] } {
  let worst = 0;
  const wrongBest: number[] = [];
  const positions = prompt.positions.filter(({ at }) => at < rows.length);
  expect(positions.length).toBeGreaterThan(2);
  for (const { at, top, margin } of positions) {
    for (const [token, logprob] of top.slice(0, 5)) {
      const difference = Math.abs(rows[at][token] - logprob);
      worst = Math.max(worst, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
    }
    const best = rows[at].indexOf(rows[at].reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY));
    if (margin > 0.05 && best !== top[0][0]) wrongBest.push(at);
  }
  return { worst, wrongBest };
}

/** A model of other shapes than the rest, in four storage types. */
const STORIES = ['stories260K-f32', 'stories260K-f16', 'stories260K-q8_0', 'stories260K-q4_0'];

function variantsOf({ name, own }: Fixture, index: number): readonly Variant[] {
  const always = VARIANTS.filter((variant) => variant.always);
  const others = VARIANTS.filter((variant) => !variant.always);
  if (matrix === 'full') return VARIANTS;
  // The quantised one has the variant that the other one does not have.
  if (matrix === 'small') return [always[(TURN + (name === 'llama-gqa' ? 0 : 1)) % always.length]];
  if (name === 'llama-gqa') return VARIANTS;
  const inTurn = always[(TURN + index) % always.length];
  // The other storage types run the same kernels around their own decoder.
  if (own) return [inTurn, others[(ROUND + index) % others.length]];
  // Their shapes are what is new: in the other types the kernels are the `quant-` fixtures' and the ops' cases' business.
  if (STORIES.includes(name) && name !== STORIES[ROUND % STORIES.length]) return [REFERENCE];
  return [inTurn];
}

/**
 * Holds the fixtures of further architectures against llama.cpp's log-probabilities. On the reference executor, however the prompt is
 * fed. On the GPU the project's own, on the decode plan alone: software drivers spend their time compiling kernels, and the kernels of the
 * other plans and variants are the ops' cases' and the llama fixtures' business; of architectures that share their kernels, those in `onGpu`
 * stand for the others there. TESSERA_MATRIX=full runs everything everywhere.
 */
export function architectureSuite(architectures: readonly string[], onGpu = architectures): void {
  const full = matrix === 'full';
  const found = findFixtures(
    ({ arch, own, prompts }) =>
      architectures.includes(arch) &&
      prompts.every(({ positions }) => positions !== undefined) &&
      (own || matrix !== 'small'),
  );
  // The second implementation sees one of each file.
  const fixtures = matrix === 'small' ? found.slice(0, 1) : found;
  const decode: Variant = {
    ...VARIANTS[0],
    name: 'decode on the GPU',
    options: { kvType: 'f32', maxRows: 1, maxSampledRows: 1 },
  };
  describe.each(fixtures)('$name', (fixture) => {
    // llama.cpp looks GELU up in a half-precision table.
    const factor = GELU_ARCHITECTURES.includes(fixture.arch) ? 5 : 1;
    const variants = full
      ? [REFERENCE, ...VARIANTS]
      : fixture.own && onGpu.includes(fixture.arch)
        ? [REFERENCE, decode]
        : [REFERENCE];
    describe.each(matrix === 'small' ? [decode] : variants)('$name', (variant) => {
      let model: LoadedModel;
      beforeAll(async () => {
        model = await loadModel(await fileSource(fixture.path), {
          backend: 'webgpu',
          contextLength: fixture.contextSize,
          maxSampledRows: 160,
          ...variant.options,
        });
      });
      afterAll(() => model.dispose());

      it.each<readonly [string, number]>([
        ...(variant === decode
          ? []
          : ([
              ['in one batch', 256],
              ['in runs of 50', 50],
              ['in runs of 7', 7],
            ] as const)),
        ['token by token', 1],
      ])('agrees with llama.cpp, prefilled %s', async (_name, runLength) => {
        for (const prompt of fixture.prompts) {
          const tokens = matrix === 'small' ? prompt.tokens.slice(0, SMALL_PROMPT) : prompt.tokens;
          const { worst, wrongBest } = compare(prompt, await score(model.runner, tokens, runLength));
          // The figures of docs/models.md.
          if (full) console.info([fixture.name, variant.name, _name, prompt.name, worst.toExponential(1)].join(' | '));
          const tolerance = Math.min(factor * variant.tolerance, 0.05);
          expect(worst, `${prompt.name}: largest difference`).toBeLessThan(tolerance);
          expect(wrongBest, `${prompt.name}: positions with another best token`).toEqual([]);
        }
      });

      it('chooses the same greedy tokens as far as the margins allow', async () => {
        const prompts = fixture.prompts.filter(({ tokens }) => matrix !== 'small' || tokens.length <= SMALL_PROMPT);
        expect(prompts.length).toBeGreaterThan(0);
        for (const prompt of prompts) await expectGreedy(model.runner, prompt);
      });
    });
  });
}

/** Holds llama-architecture fixtures of these storage types against llama.cpp's log-probabilities. */
export function conformanceSuite(storageTypes: readonly string[]): void {
  const found = findFixtures(
    ({ arch, weights, own }) => arch === 'llama' && storageTypes.includes(weights) && (own || matrix !== 'small'),
  );
  const fixtures = matrix === 'small' ? [found[ROUND % found.length]] : found;
  describe.each(fixtures)('$name', (fixture) => {
    describe.each(variantsOf(fixture, found.indexOf(fixture)))('$name', (variant) => {
      let model: LoadedModel;
      beforeAll(async () => {
        model = await loadModel(await fileSource(fixture.path), {
          backend: 'webgpu',
          contextLength: fixture.contextSize,
          maxSampledRows: 160,
          ...variant.options,
        });
      });
      afterAll(() => model.dispose());

      // 150 tokens in runs of 7 end with three rows, for which one fixture and the ops' cases have the kernels compiled.
      const few = fixture.name === 'llama-gqa' ? 7 : 6;
      it.each([
        ['in one batch', 256],
        ['in runs of 50', 50],
        [`in runs of ${few}`, few],
        ['token by token', 1],
      ])('agrees with llama.cpp, prefilled %s', async (_name, runLength) => {
        for (const prompt of fixture.prompts) {
          // 150 steps of one row: once is enough, and the second implementation takes a minute for them.
          const long = prompt.tokens.length > 20;
          if (runLength === 1 && long && (variant !== VARIANTS[0] || matrix === 'small')) continue;
          const { worst, wrongBest } = compare(prompt, await score(model.runner, prompt.tokens, runLength));
          expect(worst, `${prompt.name}: largest difference`).toBeLessThan(variant.tolerance);
          expect(wrongBest, `${prompt.name}: positions with another best token`).toEqual([]);
        }
      });

      it('chooses the same greedy tokens as far as the margins allow', async () => {
        for (const prompt of fixture.prompts) await expectGreedy(model.runner, prompt);
      });
    });
  });
}

async function expectGreedy(runner: Runner, prompt: ExpectedPrompt): Promise<void> {
  const clear = prompt.greedyMargins.findIndex((margin) => margin < 0.05);
  const expected = clear < 0 ? prompt.greedy : prompt.greedy.slice(0, clear);
  expect(await greedy(runner, prompt.tokens, expected.length), prompt.name).toEqual(expected);
}

/** Greedy tokens with the last one left on the GPU between steps, as the decode loop does. */
async function greedy(runner: Runner, prompt: readonly number[], count: number): Promise<number[]> {
  runner.openSlot(0, { sampling: GREEDY, promptTokens: prompt, outputTokens: [] });
  const base = { slot: 0, ...wholePool(runner.limits), sample: 'last', sampling: GREEDY } as const;
  const steps: Promise<StepResult>[] = [];
  const { maxRows } = runner.limits;
  const last = Math.max(0, prompt.length - maxRows);
  for (let position = 0; position < last; position += maxRows) {
    const tokens = prompt.slice(position, Math.min(position + maxRows, last));
    await runner.run({ segments: [{ ...base, sample: 'none', tokens, position }] });
  }
  for (let i = 0; i < count; i++) {
    // Three steps in flight: none of them knows the token before it.
    if (i >= 3) await steps[i - 3];
    const row =
      i === 0
        ? { tokens: prompt.slice(last), position: last }
        : { tokens: [PENDING_TOKEN], position: prompt.length + i - 1 };
    steps.push(runner.run({ segments: [{ ...base, ...row }] }));
  }
  return (await Promise.all(steps)).map((step) => step.segments[0].samples[0].token);
}
