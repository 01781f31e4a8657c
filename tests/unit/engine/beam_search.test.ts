import { describe, expect, it } from 'vitest';
import { slidingPagesFor } from '../../../src/engine/kv_pages';
import { GREEDY, type RunnerLimits } from '../../../src/engine/runner';
import type { BeamSettings } from '../../../src/engine/strategies/beam_selection';
import type { ChoicesRequest } from '../../../src/engine/strategies/host';
import { startStrategy } from '../../../src/engine/strategies/strategy';
import { InvalidOptionError, UnsupportedModelError } from '../../../src/errors';
import { likeliest } from './fake_runner';
import { onRandomMachines } from './random_machines';
import { LIMITS, PROMPT, request, setup, turns } from './toy_engine';

const ROOMY: Partial<RunnerLimits> = { maxSlots: 8, maxRows: 16, maxSampledRows: 16, numPages: 80 };

function beams(more: Partial<ChoicesRequest> = {}, settings: Partial<BeamSettings> = {}): ChoicesRequest {
  const strategy = { kind: 'beams', numBeams: 4, lengthPenalty: 1, earlyStopping: false, ...settings } as const;
  return { ...request(PROMPT), ...more, strategy: (asked, host) => startStrategy(strategy, asked, host) };
}

/** The best outputs of exactly `length` tokens by trying all there are, best first. */
function exhaustive(prompt: readonly number[], length: number, vocabSize: number): number[][] {
  let all: { tokens: number[]; score: number }[] = [{ tokens: [], score: 0 }];
  for (let i = 0; i < length; i++) {
    all = all.flatMap(({ tokens, score }) =>
      likeliest([...prompt, ...tokens], vocabSize, vocabSize).map(([token, logprob]) => ({
        tokens: [...tokens, token],
        score: score + logprob,
      })),
    );
  }
  return all.sort((a, b) => b.score - a.score).map(({ tokens }) => tokens);
}

/** Beam search as plainly as it can be written: whole token lists, no pages, no ends but the length and one stop token. */
function plainBeams(prompt: readonly number[], k: number, length: number, vocabSize: number, stop?: number) {
  let live = [{ tokens: [] as number[], score: 0 }];
  const done: { tokens: number[]; worth: number }[] = [];
  for (let n = 1; n <= length; n++) {
    const all = live
      .flatMap(({ tokens, score }) =>
        likeliest([...prompt, ...tokens], vocabSize, vocabSize).map(([token, logprob]) => ({
          tokens: [...tokens, token],
          score: score + logprob,
        })),
      )
      .sort((a, b) => b.score - a.score);
    const ends = ({ tokens }: { tokens: number[] }): boolean => n === length || tokens.at(-1) === stop;
    for (const { tokens, score } of all.slice(0, k).filter(ends)) done.push({ tokens, worth: score / n });
    done.sort((a, b) => b.worth - a.worth).splice(k);
    live = all.filter((one) => !ends(one)).slice(0, k);
    if (done.length === k && live[0] && live[0].score / n <= done[k - 1].worth) break;
  }
  return done.map(({ tokens }) => (tokens.at(-1) === stop ? tokens.slice(0, -1) : tokens));
}

async function outputs(engine: ReturnType<typeof setup>['engine'], asked: ChoicesRequest, count: number) {
  const results = await Promise.all(engine.generateChoices(asked, count).map((one) => one.drain()));
  return results.map(({ outputTokens }) => outputTokens);
}

describe('beam search', () => {
  it.each([
    [2, 8, 4],
    [3, 9, 3],
    [4, 16, 3],
  ])('over a vocabulary of %d equals an exhaustive search with %d beams', async (vocabSize, numBeams, length) => {
    const { engine } = setup({}, { ...ROOMY, vocabSize });
    const prompt = [0, 1, 1, 0, 1];
    const found = await outputs(engine, beams({ promptTokens: prompt, maxTokens: length }, { numBeams }), numBeams);
    expect(found).toEqual(exhaustive(prompt, length, vocabSize).slice(0, numBeams));
  });

  it('is decoding from its first choice on, and hands its first token out at the end', async () => {
    const { engine } = setup({}, ROOMY);
    const [{ timings }] = await Promise.all(engine.generateChoices(beams(), 1).map((one) => one.drain()));
    expect(timings.timeToFirstTokenMs).toBeGreaterThan(timings.queuedMs + timings.prefillMs);
    expect(timings.decodeMs).toBeGreaterThanOrEqual(
      timings.timeToFirstTokenMs - timings.queuedMs - timings.prefillMs - 1e-6,
    );
  });

  it('with one beam takes the likeliest token each time', async () => {
    const { engine } = setup({}, ROOMY);
    const [found] = await outputs(engine, beams({}, { numBeams: 1 }), 1);
    const greedy: number[] = [];
    while (greedy.length < 10) greedy.push(likeliest([...PROMPT, ...greedy], 1, LIMITS.vocabSize)[0][0]);
    expect(found).toEqual(greedy);
  });

  it('computes the prompt once, shares pages between beams, and gives all back', async () => {
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
    const prompt = [...PROMPT, ...PROMPT];
    await outputs(engine, beams({ promptTokens: prompt, maxTokens: 5 }), 4);
    // The prompt, then four beams of a row in each of four steps.
    expect(runner.rows).toBe(prompt.length + 4 * 4);
    // Eleven pages hold the prompt, for all; the output of each beam takes two more, as many as it would alone.
    expect(most).toBeLessThanOrEqual(11 + 4 * 2);
    await turns(5);
    expect(engine.pagesInUse).toBe(0);
  });

  it('ends hypotheses at stop tokens, which are no part of them, and says so', async () => {
    const { engine } = setup({}, { ...ROOMY, vocabSize: 6 });
    const stopTokens = new Set([2]);
    const promptTokens = PROMPT.map((token) => token % 6);
    const asked = beams({ promptTokens, maxTokens: 8, stopTokens }, { numBeams: 3 });
    const generations = engine.generateChoices(asked, 3);
    const results = await Promise.all(generations.map((one) => one.drain()));
    const plain = plainBeams(promptTokens, 3, 8, 6, 2);
    expect(results.map(({ outputTokens }) => outputTokens)).toEqual(plain);
    expect(results.map(({ finishReason }) => finishReason)).toEqual(
      plain.map(({ length }) => (length < 8 ? 'stop' : 'length')),
    );
    expect(results.some(({ finishReason }) => finishReason === 'stop')).toBe(true);
  });

  it('reports log-probabilities and the likeliest tokens of the way that a hypothesis took', async () => {
    const { engine } = setup({}, ROOMY);
    const [generation] = engine.generateChoices(beams({ sampling: { ...GREEDY, topLogprobs: 2 }, maxTokens: 4 }), 1);
    const tokens = [...PROMPT];
    for await (const { token, logprob, top } of generation) {
      const all = likeliest(tokens, LIMITS.vocabSize, LIMITS.vocabSize);
      expect(top).toEqual(all.slice(0, 2));
      expect(logprob).toBe(all.find(([other]) => other === token)?.[1]);
      tokens.push(token);
    }
    expect(tokens).toHaveLength(PROMPT.length + 4);
  });

  it('counts as one request; abort and a reader that leaves end it', async () => {
    const { engine } = setup({}, { ...ROOMY, contextLength: 100 });
    await outputs(engine, beams(), 2);
    expect(engine.metrics.requests.finished).toBe(1);
    const abort = new AbortController();
    const aborted = engine.generateChoices(beams({ signal: abort.signal, maxTokens: 60 }), 2);
    await turns(6);
    abort.abort();
    const reasons = (await Promise.all(aborted.map(({ finished }) => finished))).map((one) => one.finishReason);
    expect(reasons).toEqual(['abort', 'abort']);
    const already = engine.generateChoices(beams({ signal: AbortSignal.abort() }), 1);
    expect((await already[0].finished).finishReason).toBe('abort');
    const [left] = engine.generateChoices(beams({ maxTokens: 60 }), 1);
    const iterator = left[Symbol.asyncIterator]();
    const next = iterator.next();
    await turns(4);
    engine.dispose();
    await expect(next).rejects.toThrow(/disposed/);
    expect(engine.pagesInUse).toBe(0);
    engine.checkIntegrity();
  });

  it.each<[field: string, request: ChoicesRequest, count?: number]>([
    ['num_beams', beams({}, { numBeams: 0 })],
    ['num_beams', beams({}, { numBeams: 21 })],
    ['num_beams', beams({ stopTokens: new Set([1, 2]) }, { numBeams: 19 })],
    ['length_penalty', beams({}, { lengthPenalty: Number.NaN })],
    ['early_stopping', beams({}, { earlyStopping: 'now' as 'never' })],
    ['temperature', beams({ sampling: { ...GREEDY, temperature: 1 } })],
    ['repetition_penalty', beams({ sampling: { ...GREEDY, repetitionPenalty: 1.2 } })],
    ['logit_bias', beams({ sampling: { ...GREEDY, logitBias: [[1, 1]] } })],
    ['speculation', beams({ speculation: { ngram: true, draft: false } })],
    ['n', beams(), 5],
  ])('refuses what it cannot do: %s', (field, asked, count = 1) => {
    const { engine } = setup({}, ROOMY);
    expect(() => engine.generateChoices(asked, count)).toThrow(
      expect.toSatisfy((error) => error instanceof InvalidOptionError && error.message.includes(field)),
    );
    expect(engine.metrics.requests.waiting).toBe(0);
  });

  it('refuses recurrent models', () => {
    const { engine } = setup({}, { ...ROOMY, recurrent: true });
    expect(() => engine.generateChoices(beams(), 1)).toThrow(UnsupportedModelError);
  });
});

describe('beam search among other requests', () => {
  it('gives what it gives alone on machines of any size, through preemption, fewer slots than beams and a lost device', async () => {
    const { preempted, lost, swapped } = await onRandomMachines({
      count: 240,
      limits({ random, int }, { contextLength, pageSize }) {
        const maxRows = int(1, 16);
        const window = int(1, 20);
        const sliding = { window, numPages: slidingPagesFor(window, maxRows, pageSize) + int(0, 20) };
        return {
          maxRows,
          ...(random() < 0.5 && { sliding }),
          maxSampledRows: int(1, 8),
          maxSlots: int(1, 6),
          numPages: Math.ceil(contextLength / pageSize) + int(0, 12),
        };
      },
      options: ({ int }) => ({ preemption: (['recompute', 'swap'] as const)[int(0, 1)] }),
      searches: ({ int }) => int(1, 3),
      async search({ random, int, engine, room, name }) {
        const numBeams = int(1, 5);
        const maxTokens = int(1, room);
        const stop = random() < 0.6 ? int(0, LIMITS.vocabSize - 1) : undefined;
        const promptTokens = PROMPT.slice(0, int(1, PROMPT.length));
        const stopTokens = new Set(stop === undefined ? [] : [stop]);
        const asked = beams({ promptTokens, maxTokens, stopTokens, priority: int(-1, 1) }, { numBeams });
        const count = int(1, numBeams);
        const plain = plainBeams(promptTokens, numBeams, maxTokens, LIMITS.vocabSize, stop).slice(0, count);
        expect(await outputs(engine, asked, count), name).toEqual(plain);
      },
    });
    expect(preempted).toBeGreaterThan(50);
    expect(lost).toBeGreaterThan(3);
    expect(swapped).toBeGreaterThan(1);
  });
});
