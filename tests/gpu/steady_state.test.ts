import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { fileSource } from '../../src/cli/file_source';
import { Engine } from '../../src/engine/engine';
import {
  GREEDY,
  PENDING_TOKEN,
  type Runner,
  type Sample,
  type SamplingSettings,
  type Segment,
} from '../../src/engine/runner';
import type { StartStrategy } from '../../src/engine/strategies/host';
import { loadStrategy } from '../../src/engine/strategies/load';
import { type CallCounter, countCalls } from '../../src/gpu/counters';
import { describeModel } from '../../src/model/describe_model';
import { type LoadedModel, loadModel } from '../../src/model/load_model';

/** Submits before the counted ones: the pipeline fills there. */
const MARGIN = 3;
/** Tokens. */
const COUNTED = 16;

const SAMPLINGS: readonly (readonly [name: string, settings: SamplingSettings])[] = [
  ['greedy', GREEDY],
  ['temperature, top-k and top-p', { ...GREEDY, temperature: 0.8, topK: 40, topP: 0.9, seed: 5 }],
  ['penalties', { ...GREEDY, temperature: 1, repetitionPenalty: 1.1, frequencyPenalty: 0.2, seed: 5 }],
];

describe('a decoded token of the demo model', () => {
  let model: LoadedModel;

  const shape = { backend: 'webgpu', contextLength: 128, maxRows: 32 } as const;

  beforeAll(async () => {
    const demo = await fileSource('public/models/demo.q8_0.gguf');
    model = await loadModel(demo, { ...shape, compileInBackground: true });
  });
  afterAll(() => model.dispose());

  test('takes the memory that is stated once it is loaded, and about what was stated before', () => {
    const { gguf, device, description } = model;
    const { total, kv } = description.memory;
    expect(total).toBe(device?.allocatedBytes);
    const before = describeModel(gguf, shape).memory;
    expect(before.kv).toBe(kv);
    expect(before.total / total).toBeGreaterThan(0.95);
    expect(before.total / total).toBeLessThan(1.05);
  });

  test('is computed as soon as short steps are ready; a long prompt waits for its own', async () => {
    const { runner } = model;
    expect(runner.ready?.(1)).toBeUndefined();
    expect(runner.ready?.(16)).toBeUndefined();
    const engine = new Engine(runner);
    const promptTokens = Array.from({ length: 20 }, (_, i) => 5 + i);
    const request = { promptTokens, maxTokens: 2, sampling: GREEDY, stopTokens: new Set<number>() };
    expect((await engine.generate(request).drain()).outputTokens).toHaveLength(2);
    engine.dispose();
    expect(runner.ready?.(32)).toBeUndefined();
  });

  test('is chosen among what its mask allows, and its neighbours notice nothing', async () => {
    const { runner, device } = model;
    const rows = { tokens: [5, 9], position: 0, sample: 'last', sampling: GREEDY, returnLogits: true } as const;
    const segments: readonly Segment[] = [
      { ...rows, slot: 0, pages: [0] },
      { ...rows, slot: 1, pages: [1] },
    ];
    const pipelines = device?.pipelines.size;
    const free = (await runner.run({ segments })).segments;
    const best = free[1].samples[0].token;
    const mask = new Uint32Array(Math.ceil(runner.limits.vocabSize / 32)).fill(0xffffffff);
    mask[best >>> 5] &= ~(1 << (best & 31));
    expect(device?.pipelines.size).toBe(pipelines);
    await runner.ready?.(4, ['masks']);
    const masked = (await runner.run({ segments: [segments[0], { ...segments[1], masks: [mask] }] })).segments;
    expect(masked[0]).toEqual(free[0]);
    const [logits] = free[1].logits ?? [];
    const second = logits.indexOf(logits.toSorted((a, b) => b - a)[1]);
    expect(masked[1].samples[0].token).toBe(second);
    expect(masked[1].logits?.[0][best]).toBe(Number.NEGATIVE_INFINITY);
    expect(masked[1].logits?.[0].with(best, logits[best])).toEqual(logits);
    // A step without masks is what it was.
    expect((await runner.run({ segments })).segments).toEqual(free);
  });

  test('contrasts layers, candidates and prompts as the reference executor does, and its neighbour notices nothing', async () => {
    const reference = await loadModel(await fileSource('public/models/demo.q8_0.gguf'), { backend: 'reference' });
    const said = async (runner: Runner, dola?: readonly number[]) => {
      const engine = new Engine(runner);
      const sampling = { ...GREEDY, topLogprobs: 0 };
      const request = { promptTokens: [1, 5, 9], maxTokens: 3, sampling, stopTokens: new Set<number>() };
      const plain = engine.generate(request).drain();
      const found: Sample[] = [];
      for await (const sample of engine.generate({ ...request, dola })) found.push(sample);
      const { outputTokens } = await plain;
      engine.dispose();
      return { found, outputTokens };
    };
    const layers = [0, model.description.numLayers - 1];
    const { found, outputTokens } = await said(model.runner, layers);
    const expected = await said(reference.runner, layers);
    expect(found.map(({ token }) => token)).toEqual(expected.found.map(({ token }) => token));
    expect(found.map(({ logprob }) => logprob)).toEqual(
      expected.found.map(({ logprob }) => expect.closeTo(logprob, 2)),
    );
    expect(outputTokens).toEqual((await said(model.runner)).outputTokens);
    const contrastive = await loadStrategy({ kind: 'contrastive', penaltyAlpha: 0.7, topK: 4 });
    const guided = await loadStrategy({ kind: 'guidance', scale: 2, negativeTokens: [1, 7, 3, 4] });
    const searched = async (runner: Runner, strategy: StartStrategy) => {
      const engine = new Engine(runner);
      const request = { promptTokens: [1, 5, 9], maxTokens: 4, sampling: GREEDY, stopTokens: new Set<number>() };
      const [generation] = engine.generateChoices({ ...request, strategy }, 1);
      const found = await generation.drain();
      engine.dispose();
      return found.outputTokens;
    };
    for (const strategy of [contrastive, guided]) {
      expect(await searched(model.runner, strategy)).toEqual(await searched(reference.runner, strategy));
    }
    reference.dispose();
  });

  test('is the same when it follows its prompt in one submit, beside another sequence', async () => {
    const { runner } = model;
    const sampling = SAMPLINGS[1][1];
    const prompts: readonly Segment[] = [
      { slot: 0, tokens: [5, 9, 30, 7, 11], position: 0, pages: [0], sample: 'last', sampling },
      { slot: 1, tokens: [1, 3, 1698], position: 0, pages: [1], sample: 'last', sampling: GREEDY },
    ];
    const init = { sampling, promptTokens: [], outputTokens: [] };
    for (const { slot } of prompts) runner.openSlot(slot, init);
    const alone: number[][] = [[], []];
    for (let run = 0; run < 4; run++) {
      const segments = prompts.map((prompt) => {
        const position = prompt.tokens.length - 1 + run;
        return run === 0 ? prompt : { ...prompt, position, tokens: [PENDING_TOKEN] };
      });
      (await runner.run({ segments })).segments.forEach(({ samples }, i) => alone[i].push(samples[0].token));
    }
    for (const { slot } of prompts) runner.openSlot(slot, init);
    const together = await runner.run({ segments: prompts, repeat: 4 });
    expect(together.segments.map(({ samples }) => samples.map(({ token }) => token))).toEqual(alone);
  });

  test('is the same when guesses are verified side by side, under penalties too', async () => {
    const engine = new Engine(model.runner);
    const said = async (promptTokens: readonly number[], sampling: SamplingSettings, ngram: boolean) => {
      const speculation = ngram ? { ngram, draft: false, length: 5 } : undefined;
      const request = { promptTokens, maxTokens: 16, sampling, stopTokens: new Set<number>(), speculation };
      return engine.generate(request).drain();
    };
    const question = [1, 3, 1698, 15, 1947, 1988, 4, 1957, 15, 3, 1765, 15];
    let accepted = 0;
    for (const [, sampling] of [...SAMPLINGS, ['', { ...SAMPLINGS[2][1], repeatLastN: 8 }] as const]) {
      // Asked twice, so that the first answer is a guess at the second.
      const { outputTokens } = await said(question, sampling, false);
      const prompt = [...question, ...outputTokens, ...question, ...outputTokens.slice(0, 3)];
      const found = await said(prompt, sampling, true);
      expect(found.outputTokens).toEqual((await said(prompt, sampling, false)).outputTokens);
      accepted += found.speculative?.accepted ?? 0;
    }
    expect(accepted).toBeGreaterThan(4);
    engine.dispose();
  });

  test('is the same after its conversation was saved, and brought back in other pages', async () => {
    const { runner } = model;
    const settings = { maxTokens: 6, sampling: GREEDY, stopTokens: new Set<number>() };
    const engine = new Engine(runner);
    const promptTokens = Array.from({ length: 40 }, (_, i) => 7 + 3 * i);
    const { outputTokens } = await engine.generate({ ...settings, promptTokens }).drain();
    const bytes = await engine.savePrefix(promptTokens);
    engine.dispose();
    const other = new Engine(runner);
    // Takes the pages that the first one had.
    await other.generate({ ...settings, promptTokens: promptTokens.map((token) => token + 1) }).drain();
    expect(await other.loadPrefix(bytes)).toMatchObject({ tokens: promptTokens, positions: promptTokens.length });
    const again = await other.generate({ ...settings, promptTokens }).drain();
    expect(again).toMatchObject({ cachedTokens: promptTokens.length - 1, outputTokens });
    other.dispose();
  });

  test('is the same after its pages were in host memory', async () => {
    const { runner } = model;
    // Two of the requests need six pages.
    const small: Runner = Object.create(runner, { limits: { value: { ...runner.limits, numPages: 5 } } });
    const engine = new Engine(small, { preemption: 'swap', prefixCache: false });
    const request = (first: number) => {
      const promptTokens = Array.from({ length: 56 }, (_, i) => first + i);
      return { promptTokens, maxTokens: 12, sampling: GREEDY, stopTokens: new Set<number>() };
    };
    const both = await Promise.all([5, 9].map((first) => engine.generate(request(first)).drain()));
    expect(engine.metrics.swapped).toMatchObject({ in: engine.metrics.preemptions, bytes: 0 });
    expect(engine.metrics.preemptions).toBeGreaterThan(0);
    const alone = await engine.generate(request(9)).drain();
    expect(both[1].outputTokens).toEqual(alone.outputTokens);
    engine.dispose();
  });

  test('has the log-probability of its whole text where beams go on in copies of shared pages', async () => {
    const { runner } = model;
    const copies = vi.spyOn(runner, 'copyPages');
    const engine = new Engine(runner);
    const promptTokens = Array.from({ length: 20 }, (_, i) => 5 + i);
    const beams = { kind: 'beams', numBeams: 3, lengthPenalty: 1, earlyStopping: false } as const;
    const sampling = { ...GREEDY, topLogprobs: 0 };
    const request = { promptTokens, maxTokens: 5, sampling, stopTokens: new Set<number>() };
    const answers = engine.generateChoices({ ...request, strategy: await loadStrategy(beams) }, 3);
    const found: { tokens: number[]; logprobs: number[] }[] = [];
    for (const answer of answers) {
      const tokens: number[] = [];
      const logprobs: number[] = [];
      for await (const { token, logprob } of answer) {
        tokens.push(token);
        logprobs.push(logprob);
      }
      found.push({ tokens, logprobs });
    }
    expect(copies).toHaveBeenCalled();
    expect(new Set(found.map(({ tokens }) => tokens.join(' '))).size).toBe(3);
    for (const { tokens, logprobs } of found) {
      const scored: number[] = [];
      const onLogits = (position: number, logits: Float32Array): void => {
        const next = tokens[position - promptTokens.length + 1];
        if (next === undefined || position < promptTokens.length - 1) return;
        const max = logits.reduce((a, b) => Math.max(a, b));
        scored.push(logits[next] - max - Math.log(logits.reduce((sum, x) => sum + Math.exp(x - max), 0)));
      };
      await engine.score({ promptTokens: [...promptTokens, ...tokens], onLogits });
      expect(logprobs).toEqual(scored.map((x) => expect.closeTo(x, 2)));
    }
    engine.dispose();
    copies.mockRestore();
  });

  /**
   * One generation with submits of `repeat` steps, and the API calls between the reports of two of its submits, `COUNTED` tokens apart.
   * In between the pipeline is full: for each report there is one more submit.
   */
  async function generate(sampling: SamplingSettings, repeat: number) {
    const { device, runner } = model;
    if (!device) throw new Error('the model is not on a GPU');
    const bytes = device.allocatedBytes;
    const counts = countCalls(device.device);
    let reports = 0;
    let counted: Partial<CallCounter> = {};
    const engine = new Engine(runner, {
      // By the clock it is one step, or as many as there may be.
      submitBudgetMs: repeat === 1 ? 0 : 60_000,
      onStep: (step) => {
        if (step.repeat !== repeat || step.prefillRows > 0) return;
        if (reports === MARGIN) counts.reset();
        if (reports === MARGIN + COUNTED / repeat) counted = { ...counts };
        reports++;
      },
    });
    const request = { promptTokens: [1, 5, 9], maxTokens: 100, sampling, stopTokens: new Set<number>() };
    const { outputTokens } = await engine.generate(request).drain();
    engine.dispose();
    counts.restore();
    return { outputTokens, counted, bytesCreated: device.allocatedBytes - bytes };
  }

  test.each(SAMPLINGS)(
    '%s: one pass, one submit, nothing created; eight in one submit are the same',
    async (_, sampling) => {
      const single = await generate(sampling, 1);
      const repeated = await generate(sampling, 8);
      for (const [run, submits] of [
        [single, COUNTED],
        [repeated, COUNTED / 8],
      ] as const) {
        expect(run.counted).toMatchObject({ passes: submits, submits, maps: submits, bindGroups: 0, buffers: 0 });
        expect(run.counted).toMatchObject({ pipelines: 0, shaderModules: 0 });
        expect(run.counted.bufferWrites).toBeLessThanOrEqual(submits);
        expect((run.counted.dispatches ?? 0) / COUNTED).toBeLessThanOrEqual(7 * model.description.numLayers + 6);
        expect(run.bytesCreated).toBe(0);
      }
      expect(repeated.outputTokens).toEqual(single.outputTokens);
      expect(single.outputTokens).toHaveLength(100);
    },
  );
});
