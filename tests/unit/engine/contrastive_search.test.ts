import { describe, expect, it } from 'vitest';
import { fileSource } from '../../../src/cli/file_source';
import { Engine } from '../../../src/engine/engine';
import { GREEDY, type RunnerLimits } from '../../../src/engine/runner';
import type { ContrastiveSettings } from '../../../src/engine/strategies/contrastive_search';
import type { ChoicesRequest } from '../../../src/engine/strategies/host';
import { startStrategy } from '../../../src/engine/strategies/strategy';
import { InvalidOptionError, UnsupportedModelError } from '../../../src/errors';
import { loadModel } from '../../../src/model/load_model';
import { plainModel } from '../../support/plain_head';
import { likeliest, toyHidden } from './fake_runner';
import { onRandomMachines } from './random_machines';
import { LIMITS, PROMPT, request, setup, turns } from './toy_engine';

const ROOMY: Partial<RunnerLimits> = { maxSlots: 8, maxRows: 16, maxSampledRows: 16, numPages: 80, hiddenSize: 6 };

function contrastive(more: Partial<ChoicesRequest> = {}, settings: Partial<ContrastiveSettings> = {}): ChoicesRequest {
  const strategy = { kind: 'contrastive', penaltyAlpha: 0.6, topK: 4, ...settings } as const;
  return { ...request(PROMPT), ...more, strategy: (asked, host) => startStrategy(strategy, asked, host) };
}

interface Model {
  /** Of every token, what comes out of the last layer. */
  readonly hidden: (tokens: readonly number[]) => readonly (readonly number[])[];
  /** The likeliest tokens to follow, with their probabilities. */
  readonly top: (tokens: readonly number[], count: number) => readonly (readonly [token: number, p: number])[];
}

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]): number =>
    x.reduce((sum, value, i) => sum + value * y[i], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

/** Equation 5 of Su et al. 2022, token by token, with nothing kept from one to the next. */
function plainSearch(model: Model, prompt: readonly number[], alpha: number, k: number, length: number): number[] {
  const tokens = [...prompt];
  while (tokens.length < prompt.length + length) {
    const before = model.hidden(tokens);
    const worths = model.top(tokens, k).map(([token, p]): [token: number, worth: number] => {
      const own = model.hidden([...tokens, token]).at(-1) as readonly number[];
      return [token, (1 - alpha) * p - alpha * Math.max(...before.map((other) => cosine(own, other)))];
    });
    tokens.push(worths.reduce((a, b) => (b[1] > a[1] ? b : a))[0]);
  }
  return tokens.slice(prompt.length);
}

const TOY: Model = {
  hidden: (tokens) => tokens.map((_, i) => [...toyHidden(tokens.slice(0, i + 1))]),
  top: (tokens, count) => likeliest(tokens, count, LIMITS.vocabSize).map(([token, log]) => [token, Math.exp(log)]),
};

describe.each(['llama-gqa', 'gpt2'])('contrastive search on %s', (name) => {
  it('gives what the formula gives', async () => {
    const plain = await plainModel(name);
    const source = await fileSource(`tests/fixtures/models/${name}.gguf`);
    const model = await loadModel(source, { backend: 'reference', contextLength: 32 });
    const reference: Model = {
      hidden: plain.hidden,
      top: (tokens, count) =>
        plain
          .predict(plain.streams(tokens).at(-1) as Float32Array)
          .map((log, token): [number, number] => [token, Math.exp(log)])
          .sort((a, b) => b[1] - a[1])
          .slice(0, count),
    };
    const engine = new Engine(model.runner);
    const prompt = [1, 33, 85, 131];
    for (const [penaltyAlpha, topK] of [
      [0.6, 4],
      [0.9, 6],
    ]) {
      const asked = contrastive({ promptTokens: prompt, maxTokens: 6 }, { penaltyAlpha, topK });
      const [found] = engine.generateChoices(asked, 1);
      const { outputTokens } = await found.drain();
      expect(outputTokens).toEqual(plainSearch(reference, prompt, penaltyAlpha, topK, 6));
      const greedy = await engine.generate(request(prompt, { maxTokens: 6 })).drain();
      expect(outputTokens).not.toEqual(greedy.outputTokens);
    }
  });
});

describe('contrastive search', () => {
  it('computes the prompt once and each candidate once, shares pages between them, and gives all back', async () => {
    let most = 0;
    const { engine, runner } = setup(
      {
        onStep: ({ pagesInUse }) => {
          most = Math.max(most, pagesInUse);
          engine.checkIntegrity();
        },
      },
      { ...ROOMY, pageSize: 2 },
    );
    const promptTokens = [...PROMPT, ...PROMPT];
    const [found] = engine.generateChoices(contrastive({ promptTokens, maxTokens: 5 }), 1);
    expect((await found.drain()).outputTokens).toEqual(plainSearch(TOY, promptTokens, 0.6, 4, 5));
    expect(runner.rows).toBe(promptTokens.length + 5 * 4);
    // Thirteen pages hold prompt and output; the last one is each candidate's own.
    expect(most).toBeLessThanOrEqual(14 + 3);
    await turns(5);
    expect(engine.pagesInUse).toBe(0);
  });

  it('streams, with log-probabilities; stop tokens, onToken and a reader that leaves end it', async () => {
    const { engine } = setup({}, { ...ROOMY, contextLength: 60 });
    const plain = plainSearch(TOY, PROMPT, 0.6, 4, 12);
    const scored = contrastive({ maxTokens: 3, sampling: { ...GREEDY, topLogprobs: 2 } });
    const tokens = [...PROMPT];
    for await (const { token, logprob, top } of engine.generateChoices(scored, 1)[0]) {
      const all = likeliest(tokens, LIMITS.vocabSize, LIMITS.vocabSize);
      expect(top).toEqual(all.slice(0, 2));
      expect(logprob).toBe(all.find(([other]) => other === token)?.[1]);
      tokens.push(token);
    }
    expect(tokens.slice(PROMPT.length)).toEqual(plain.slice(0, 3));
    const end = plain.findIndex((token, i) => i > 1 && plain.indexOf(token) === i);
    const stopped = engine.generateChoices(contrastive({ maxTokens: 12, stopTokens: new Set([plain[end]]) }), 1)[0];
    expect(await stopped.drain()).toMatchObject({ finishReason: 'stop', outputTokens: plain.slice(0, end) });
    let count = 0;
    const told = engine.generateChoices(contrastive({ maxTokens: 12 }), 1, () => ({
      onToken: () => (++count === 2 ? 'stop' : 'continue'),
    }))[0];
    expect(await told.drain()).toMatchObject({ finishReason: 'stop', outputTokens: plain.slice(0, 2) });
    const [left] = engine.generateChoices(contrastive({ maxTokens: 40 }), 1);
    for await (const { token } of left) {
      expect(token).toBe(plain[0]);
      break;
    }
    expect((await left.finished).finishReason).toBe('abort');
    await turns(5);
    expect(engine.pagesInUse).toBe(0);
    expect(engine.metrics.requests.finished).toBe(3);
  });

  it.each<[field: string, request: ChoicesRequest, count?: number]>([
    ['penalty_alpha', contrastive({}, { penaltyAlpha: 1.1 })],
    ['top_k', contrastive({}, { topK: 1 })],
    ['top_k', contrastive({}, { topK: 21 })],
    ['temperature', contrastive({ sampling: { ...GREEDY, temperature: 1 } })],
    ['speculation', contrastive({ speculation: { ngram: true, draft: false } })],
    ['dola_layers', contrastive({ dola: 'low' })],
    ['n', contrastive(), 2],
  ])('refuses what it cannot do: %s', (field, asked, count = 1) => {
    const { engine } = setup({}, ROOMY);
    expect(() => engine.generateChoices(asked, count)).toThrow(
      expect.toSatisfy((error) => error instanceof InvalidOptionError && error.field === field),
    );
    expect(engine.metrics.requests.waiting).toBe(0);
  });

  it('refuses recurrent models, and runners that return no rows', () => {
    for (const limits of [
      { ...ROOMY, recurrent: true },
      { ...ROOMY, hiddenSize: undefined },
    ]) {
      const { engine } = setup({}, limits);
      expect(() => engine.generateChoices(contrastive(), 1)).toThrow(UnsupportedModelError);
    }
  });

  it('gives among others what it gives alone, on machines of any size, through preemption and a lost device', async () => {
    const { preempted, lost } = await onRandomMachines({
      count: 240,
      limits: ({ int }, { contextLength, pageSize }) => ({
        hiddenSize: 6,
        maxRows: int(1, 16),
        maxSampledRows: int(1, 8),
        maxSlots: int(1, 6),
        numPages: Math.ceil(contextLength / pageSize) + int(0, 12),
      }),
      searches: ({ int }) => int(1, 3),
      async search({ int, engine, room, name }) {
        const topK = int(2, 5);
        const maxTokens = int(1, room);
        const promptTokens = PROMPT.slice(0, int(1, PROMPT.length));
        const asked = contrastive({ promptTokens, maxTokens, priority: int(-1, 1) }, { topK });
        const { outputTokens } = await engine.generateChoices(asked, 1)[0].drain();
        expect(outputTokens, name).toEqual(plainSearch(TOY, promptTokens, 0.6, topK, maxTokens));
      },
    });
    expect(preempted).toBeGreaterThan(20);
    expect(lost).toBeGreaterThan(3);
  });
});
