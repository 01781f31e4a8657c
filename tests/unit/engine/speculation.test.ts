import { beforeAll, describe, expect, it, vi } from 'vitest';
import { fileSource } from '../../../src/cli/file_source';
import { Engine } from '../../../src/engine/engine';
import { GREEDY, type Runner, type SamplingSettings } from '../../../src/engine/runner';
import { DraftLength, StepCosts } from '../../../src/engine/speculation/draft_length';
import { ModelDrafter } from '../../../src/engine/speculation/model_drafter';
import { NgramDrafter } from '../../../src/engine/speculation/ngram_drafter';
import type { SpeculationSettings } from '../../../src/engine/speculation/speculators';
import { type LoadedModel, loadModel } from '../../../src/model/load_model';
import { chatTemplate } from '../../../src/tokenizer/chat_template';
import { renderChat } from '../../../src/tokenizer/render_chat';
import { createTokenizer } from '../../../src/tokenizer/tokenizer';
import { TableRunner } from '../../support/table_runner';
import { FakeRunner } from './fake_runner';
import { LIMITS as TOY_LIMITS } from './toy_engine';

const MODES: readonly SpeculationSettings[] = [
  { ngram: true, draft: false },
  { ngram: false, draft: true },
  { ngram: false, draft: true, length: 1 },
  { ngram: true, draft: true, length: 5 },
];

describe('speculation on the demo model', () => {
  const prompts = ['Tell me a story about a fox.', 'Who are you?'];
  let model: LoadedModel;
  let draft: LoadedModel;
  let chats: number[][];

  beforeAll(async () => {
    model = await loadModel(await fileSource('public/models/demo.q8_0.gguf'), { backend: 'reference' });
    draft = await loadModel(await fileSource('public/models/draft.q8_0.gguf'), { backend: 'reference' });
    const tokenizer = createTokenizer(model.gguf);
    const template = chatTemplate(model.gguf, tokenizer);
    chats = prompts.map((content) => renderChat(tokenizer, template, [{ role: 'user', content }]));
  });

  async function answers(sampling: SamplingSettings, speculation?: SpeculationSettings) {
    const engine = new Engine(model.runner, { draft: draft.runner });
    const request = { maxTokens: 16, sampling, stopTokens: new Set<number>(), speculation };
    // All at once: drafts are verified beside other requests' rows.
    const results = await Promise.all(
      chats.map((promptTokens) => engine.generate({ ...request, promptTokens }).drain()),
    );
    engine.checkIntegrity();
    engine.dispose();
    return results;
  }

  it.each([
    ['greedy', GREEDY],
    ['sampled', { ...GREEDY, temperature: 0.9, topK: 40, topP: 0.95, seed: 11 }],
  ] as const)(
    'gives the %s output of plain decoding, whatever drafts',
    async (_name, sampling) => {
      const plain = (await answers(sampling)).map(({ outputTokens }) => outputTokens);
      for (const mode of sampling.temperature === 0 ? MODES : MODES.slice(2)) {
        const found = await answers(sampling, mode);
        expect(
          found.map(({ outputTokens }) => outputTokens),
          JSON.stringify(mode),
        ).toEqual(plain);
        for (const { speculative } of found) {
          expect(speculative?.accepted ?? 0).toBeLessThanOrEqual(speculative?.drafted ?? 0);
          if (mode.draft && mode.length) {
            expect(speculative?.accepted).toBeGreaterThan(0);
            // Each step gives its sample, and one more for each draft that was right.
            expect((speculative?.steps ?? 0) + (speculative?.accepted ?? 0)).toBeLessThanOrEqual(16 + 1);
          }
        }
      }
    },
    120_000,
  );
});

const VOCAB = 6;
const p = (token: number) => [5, 1 + token, 2, 4, 1, 3];
const q = (token: number) => [3, 2, 2 + token, 4, 2, 1];
/** The token before the output. */
const START = 2;

function shares(weights: readonly number[]): number[] {
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / total);
}

/** Outputs of 4 tokens, one a seed, with what was drafted for them and accepted. */
async function draw(draws: number, speculation: SpeculationSettings, settings: Partial<SamplingSettings> = {}) {
  const engine = new Engine(new TableRunner(VOCAB, p), { draft: new TableRunner(VOCAB, q), prefixCache: false });
  const outputs: (readonly number[])[] = [];
  let accepted = 0;
  let drafted = 0;
  for (let seed = 0; seed < draws; seed++) {
    const { outputTokens, speculative } = await engine
      .generate({
        promptTokens: [START],
        maxTokens: 4,
        sampling: { ...GREEDY, temperature: 1, ...settings, seed },
        stopTokens: new Set(),
        speculation,
      })
      .drain();
    outputs.push(outputTokens);
    accepted += speculative?.accepted ?? 0;
    drafted += speculative?.drafted ?? 0;
  }
  engine.checkIntegrity();
  engine.dispose();
  return { outputs, accepted, drafted };
}

describe('speculation keeps the distribution', () => {
  it.each([
    ['coupled', 2],
    ['rejection', 1],
    ['rejection', 2],
    ['rejection', 3],
  ] as const)(
    'of 20,000 draws of the third and the fourth token together, by chi-squared: %s, %d guesses',
    async (acceptance, length) => {
      const draws = 20_000;
      const { outputs, accepted, drafted } = await draw(draws, { ngram: false, draft: true, length, acceptance });
      const pairs = Array.from({ length: VOCAB * VOCAB }, () => 0);
      for (const [, , third, fourth] of outputs) pairs[third * VOCAB + fourth]++;
      const step = (from: readonly number[]): number[] =>
        from.reduce<number[]>((to, mass, token) => shares(p(token)).map((share, t) => (to[t] ?? 0) + mass * share), []);
      const start = Array.from({ length: VOCAB }, (_, token) => (token === START ? 1 : 0));
      const expected = step(step(step(start))).flatMap((mass, token) => shares(p(token)).map((share) => mass * share));
      const chi = pairs.reduce((sum, count, i) => sum + (count - draws * expected[i]) ** 2 / (draws * expected[i]), 0);
      // 35 degrees of freedom: above 66.6 once in a thousand; the draws are the same in every run.
      expect(chi).toBeLessThan(66.6);
      expect(accepted).toBeGreaterThan(drafted / 3);
      expect(accepted).toBeLessThan(drafted);
    },
    60_000,
  );

  it('and rejection accepts as many guesses as can be: Σ min(p, q)', async () => {
    const draws = 6000;
    const { accepted, drafted } = await draw(draws, { ngram: false, draft: true, length: 1, acceptance: 'rejection' });
    const overlap = Array.from({ length: VOCAB }, (_, token) => {
      const target = shares(p(token));
      return shares(q(token)).reduce((sum, share, t) => sum + Math.min(share, target[t]), 0);
    });
    const least = Math.min(...overlap);
    const most = Math.max(...overlap);
    const noise = 4 * Math.sqrt((most * (1 - least)) / drafted);
    expect(accepted / drafted).toBeGreaterThan(least - noise);
    expect(accepted / drafted).toBeLessThan(most + noise);
    const coupled = await draw(draws, { ngram: false, draft: true, length: 1, acceptance: 'coupled' });
    expect(accepted / drafted).toBeGreaterThan(coupled.accepted / coupled.drafted);
  });

  it('with settings on both sides: what they drop is never said, nor what penalties forbid', async () => {
    const speculation = { ngram: false, draft: true, length: 3, acceptance: 'rejection' } as const;
    const best = await draw(400, speculation, { topK: 2 });
    best.outputs.forEach((output) => {
      [START, ...output.slice(0, -1)].forEach((token, i) => {
        const weights = p(token);
        // Of equals the lower token goes first.
        const rank = weights.filter(
          (w, t) => w > weights[output[i]] || (w === weights[output[i]] && t < output[i]),
        ).length;
        expect(rank).toBeLessThan(2);
      });
    });
    const fresh = await draw(400, speculation, { presencePenalty: 1e4 });
    for (const output of fresh.outputs) expect(new Set(output).size).toBe(output.length);
  });
});

describe('speculation under settings that look back', () => {
  /** A prompt that repeats itself, so that lookups have guesses, and penalties something to say. */
  const PAST = { promptTokens: [5, 6, 7, 5, 6, 7, 5, 6], maxTokens: 24, stopTokens: new Set<number>() };
  let model: LoadedModel;
  let draft: LoadedModel;

  beforeAll(async () => {
    model = await loadModel(await fileSource('public/models/demo.q8_0.gguf'), { backend: 'reference' });
    draft = await loadModel(await fileSource('public/models/draft.q8_0.gguf'), { backend: 'reference' });
  });

  async function answer(sampling: SamplingSettings, speculation?: SpeculationSettings) {
    const engine = new Engine(model.runner, { draft: draft.runner });
    const result = await engine.generate({ ...PAST, sampling, dryBreakers: new Map([[5, [[]]]]), speculation }).drain();
    engine.checkIntegrity();
    engine.dispose();
    return result;
  }

  it.each([
    ['penalties', { repetitionPenalty: 1.2, frequencyPenalty: 0.3 }],
    ['penalties with a window, sampled', { presencePenalty: 1.5, repeatLastN: 4, temperature: 0.8, seed: 3 }],
    ['DRY', { dryMultiplier: 0.5, dryAllowedLength: 2 }],
  ] as const)(
    '%s: the output is that of plain decoding, and guesses are right',
    async (_name, settings) => {
      const sampling = { ...GREEDY, ...settings };
      const plain = await answer(sampling);
      for (const mode of [
        { ngram: true, draft: false, length: 4 },
        { ngram: false, draft: true, length: 3 },
      ]) {
        const { outputTokens, speculative } = await answer(sampling, mode);
        expect(outputTokens, JSON.stringify(mode)).toEqual(plain.outputTokens);
        // Lookup guesses what penalties and DRY keep from coming again.
        if (mode.draft) expect(speculative?.accepted).toBeGreaterThan(0);
      }
    },
    60_000,
  );

  it('is refused where wrong guesses cannot be taken back', async () => {
    const limits = { ...model.runner.limits, recurrent: true };
    const recurrent: Runner = Object.create(model.runner, { limits: { value: limits } });
    const engine = new Engine(recurrent);
    const request = { ...PAST, sampling: GREEDY };
    expect(() => engine.generate({ ...request, speculation: { ngram: true, draft: false } })).toThrow(
      /speculation: wrong guesses have to be taken back/,
    );
    engine.dispose();
    expect(() => new Engine(recurrent, { draft: draft.runner })).toThrow(/draft: wrong guesses/);
  });

  it('counts the steps of tokens that came without guesses one by one, however many a submit had', async () => {
    const limits = { ...TOY_LIMITS, contextLength: 200, numPages: 50, maxRepeat: 8 };
    // Never right.
    const draft = new FakeRunner(limits, () => 3, undefined, 1);
    const target = new FakeRunner(limits, () => 1);
    const engine = new Engine(target, { draft, submitBudgetMs: 10_000 });
    const speculation = { ngram: false, draft: true } as const;
    const request = { promptTokens: [1, 2, 3], maxTokens: 120, sampling: GREEDY, stopTokens: new Set<number>() };
    const { speculative } = await engine.generate({ ...request, speculation }).drain();
    expect(target.maxRepeatSeen).toBeGreaterThan(1);
    expect(speculative?.drafted).toBeGreaterThan(0);
    expect(speculative).toMatchObject({ accepted: 0, steps: 119 });
    expect(engine.metrics.speculative.steps).toBe(119);
    engine.dispose();
  });

  it('goes on with another runner after the draft model was lost, and costs no answer in between', async () => {
    const limits = { ...TOY_LIMITS, contextLength: 60, numPages: 50 };
    const engine = new Engine(new FakeRunner(limits, () => 1), { draft: new FakeRunner(limits, () => 1, 8) });
    const speculation = { ngram: false, draft: true, length: 2 } as const;
    const ask = async () => {
      const request = { promptTokens: [1, 2, 3], maxTokens: 30, sampling: GREEDY, stopTokens: new Set<number>() };
      return engine.generate({ ...request, speculation }).drain();
    };
    const [first, second] = [await ask(), await ask()];
    expect(first.speculative?.drafted).toBeGreaterThan(0);
    expect(first.speculative?.drafted).toBeLessThan(20);
    expect(first.speculative?.failure).toMatch(/lost/);
    expect(second.speculative?.drafted).toBe(0);
    expect(second.speculative?.failure).toMatch(/lost/);
    expect(engine.metrics.speculative.failures).toBe(2);
    engine.replaceDraft(new FakeRunner(limits, () => 1));
    const third = await ask();
    expect(third.speculative?.failure).toBeUndefined();
    expect(engine.metrics.speculative.failures).toBe(2);
    expect(third.speculative?.accepted).toBeGreaterThan(15);
    expect(third.speculative?.accepted).toBe(third.speculative?.drafted);
    expect(third.outputTokens).toEqual(first.outputTokens);
    expect(second.outputTokens).toEqual(first.outputTokens);
    const other = new FakeRunner({ ...limits, vocabSize: limits.vocabSize + 1 }, () => 1);
    expect(() => engine.replaceDraft(other)).toThrow(/vocabulary/);
    engine.dispose();
    expect(() => new Engine(new FakeRunner(limits, () => 1)).replaceDraft(other)).toThrow(/no draft model/);
  });

  it('is refused with mirostat', async () => {
    const sampling = { ...GREEDY, temperature: 1, mirostat: 2 };
    await expect(answer(sampling, { ngram: true, draft: false })).rejects.toThrow(
      /speculation: does not go with mirostat/,
    );
  });
});

describe('drafting', () => {
  const request = { sequence: 0, choosing: { promptLength: 1, sampling: GREEDY } };

  it('looks up what followed the longest and latest match', () => {
    const drafter = new NgramDrafter();
    const draft = (tokens: readonly number[], count = 3) => drafter.draft({ ...request, tokens, count }).tokens;
    expect(draft([1, 2, 3, 4, 5, 1, 2, 3])).toEqual([4, 5, 1]);
    expect(draft([7, 1, 2, 8, 9, 1, 2, 6, 1, 2])).toEqual([6, 1, 2]);
    expect(draft([3, 1, 2, 8, 9, 1, 2, 6, 3, 1, 2])).toEqual([8, 9, 1]);
    expect(draft([1, 2, 3, 4])).toEqual([]);
    expect(draft([1, 2, 1, 2], 1)).toEqual([1]);
  });

  it('takes one submit of the draft model, whether the guesses before were right or not', async () => {
    const runner = new TableRunner(VOCAB, q);
    const run = vi.spyOn(runner, 'run');
    const drafter = new ModelDrafter(runner, VOCAB);
    const guess = async (tokens: readonly number[]): Promise<readonly number[]> => {
      run.mockClear();
      const drafts = await drafter.draft({ ...request, tokens, count: 4 });
      expect(drafts.tokens).toHaveLength(4);
      expect(run).toHaveBeenCalledTimes(1);
      return drafts.tokens;
    };
    const first = await guess([1, 2]);
    const second = await guess([1, 2, ...first, 3]);
    await guess([1, 2, ...first, 3, second[0], (second[1] + 1) % VOCAB]);
  });

  it('drafts more where drafts are right and rows are cheap, and rests where they are wrong', () => {
    const cheap = new StepCosts();
    for (const [rows, ms] of [
      [1, 10],
      [4, 11],
      [8, 12],
      [16, 15],
    ])
      cheap.observe(rows, ms);
    const good = new DraftLength(cheap, 15);
    for (let i = 0; i < 20; i++) good.observe(4, 4, 1);
    expect(good.next(100)).toBeGreaterThan(4);
    const bad = new DraftLength(cheap, 15);
    for (let i = 0; i < 20; i++) bad.observe(4, 0, 20);
    expect(bad.next(100)).toBe(0);
    expect(bad.resting(101)).toBe(true);
    expect(bad.resting(100 + 16)).toBe(false);
    // It tries again, and rests longer when it loses again.
    for (let i = 0; i < 20; i++) bad.observe(4, 0, 20);
    expect(bad.next(116)).toBe(0);
    expect(bad.resting(116 + 31)).toBe(true);
  });

  it('costs between measured row counts lie between their measurements', () => {
    const costs = new StepCosts();
    expect(costs.ms(1)).toBeUndefined();
    costs.observe(1, 10);
    expect(costs.ms(3)).toBeGreaterThan(10);
    costs.observe(5, 14);
    expect(costs.ms(3)).toBeCloseTo(12);
  });
});
