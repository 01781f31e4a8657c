import { describe, expect, it } from 'vitest';
import { fileSource } from '../../../src/cli/file_source';
import { Engine } from '../../../src/engine/engine';
import { GREEDY, type RunnerLimits } from '../../../src/engine/runner';
import type { GuidanceSettings } from '../../../src/engine/strategies/guided_pair';
import type { ChoicesRequest } from '../../../src/engine/strategies/host';
import { startStrategy } from '../../../src/engine/strategies/strategy';
import { ContextLengthError, InvalidOptionError, UnsupportedModelError } from '../../../src/errors';
import { loadModel } from '../../../src/model/load_model';
import { plainModel } from '../../support/plain_head';
import { guidedBy, nextToken } from './fake_runner';
import { onRandomMachines } from './random_machines';
import { LIMITS, PROMPT, request, setup, turns } from './toy_engine';

const ROOMY: Partial<RunnerLimits> = { maxSlots: 4, maxRows: 16, maxSampledRows: 8, numPages: 60 };
const AWAY = [7, 8, 9];

function guided(more: Partial<ChoicesRequest> = {}, settings: Partial<GuidanceSettings> = {}): ChoicesRequest {
  const strategy = { kind: 'guidance', scale: 1.5, negativeTokens: AWAY, ...settings } as const;
  return { ...request(PROMPT), ...more, strategy: (asked, host) => startStrategy(strategy, asked, host) };
}

/** What the toy model says when it is guided. */
function plainToy(prompt: readonly number[], away: readonly number[], scale: number, count: number): number[] {
  const found: number[] = [];
  while (found.length < count) {
    const context = [...prompt, ...found, ...guidedBy([...away, ...found], scale)];
    found.push(nextToken(context, 0, LIMITS.vocabSize));
  }
  return found;
}

describe.each(['llama-gqa', 'gpt2'])('guidance on %s', (name) => {
  const prompt = [1, 33, 85, 131];
  const loaded = (async () => {
    const source = await fileSource(`tests/fixtures/models/${name}.gguf`);
    return {
      plain: await plainModel(name),
      model: await loadModel(source, { backend: 'reference', contextLength: 64 }),
    };
  })();

  it.each([
    [1.5, [9, 8, 7, 6, 5, 4]],
    [3, []],
    [-1, [2]],
  ])('of scale %d away from %j gives what the formula gives', async (scale, away) => {
    const { plain, model } = await loaded;
    const predict = (tokens: readonly number[]): number[] =>
      plain.predict(plain.streams(tokens).at(-1) as Float32Array);
    const engine = new Engine(model.runner);
    const sampling = { ...GREEDY, topLogprobs: 0 };
    const asked = guided({ promptTokens: prompt, maxTokens: 5, sampling }, { scale, negativeTokens: away });
    const output: number[] = [];
    for await (const { token, logprob } of engine.generateChoices(asked, 1)[0]) {
      // Equation 7 of Sanchez et al. 2023; no negative prompt is the last token, as in transformers.
      const other = predict([...(away.length > 0 ? away : prompt.slice(-1)), ...output]);
      const logits = predict([...prompt, ...output]).map((log, i) => other[i] + scale * (log - other[i]));
      expect(token).toBe(logits.indexOf(Math.max(...logits)));
      const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
      expect(logprob).toBeCloseTo(logits[token] - Math.log(sum), 4);
      output.push(token);
    }
    expect(output).toHaveLength(5);
    const plainOutput = await engine.generate(request(prompt, { maxTokens: 5 })).drain();
    expect(output).not.toEqual(plainOutput.outputTokens);
  });

  it('draws from what the guidance gives: seeds reproduce, and scale 1 changes nothing', async () => {
    const { model } = await loaded;
    const engine = new Engine(model.runner);
    const sampling = { ...GREEDY, temperature: 1, seed: 3, repetitionPenalty: 1.3 };
    const draw = async (scale: number): Promise<readonly number[]> => {
      const asked = guided({ promptTokens: prompt, maxTokens: 8, sampling }, { scale });
      return (await engine.generateChoices(asked, 1)[0].drain()).outputTokens;
    };
    expect(await draw(2)).toEqual(await draw(2));
    const plain = await engine
      .generate(request(prompt, { maxTokens: 8, sampling: { ...sampling, repetitionPenalty: 1 } }))
      .drain();
    const unpenalised = guided(
      { promptTokens: prompt, maxTokens: 8, sampling: { ...sampling, repetitionPenalty: 1 } },
      { scale: 1 },
    );
    expect((await engine.generateChoices(unpenalised, 1)[0].drain()).outputTokens).toEqual(plain.outputTokens);
  });
});

describe('guidance', () => {
  it('computes both prompts once and two rows a token, and gives all pages back', async () => {
    const { engine, runner } = setup({ onStep: () => engine.checkIntegrity() }, ROOMY);
    const result = await engine.generateChoices(guided(), 1)[0].drain();
    expect(result).toMatchObject({ finishReason: 'length', promptTokens: PROMPT });
    expect(result.outputTokens).toEqual(plainToy(PROMPT, AWAY, 1.5, 10));
    expect(runner.rows).toBe(PROMPT.length + AWAY.length + 2 * 9);
    await turns(5);
    expect(engine.pagesInUse).toBe(0);
    expect(engine.metrics.requests.finished).toBe(1);
  });

  it('streams; stop tokens, onToken, abort and a reader that leaves end it', async () => {
    const { engine } = setup({}, ROOMY);
    const plain = plainToy(PROMPT, AWAY, 1.5, 10);
    const stopped = engine.generateChoices(guided({ stopTokens: new Set([plain[3]]) }), 1)[0];
    expect((await stopped.drain()).outputTokens).toEqual(plain.slice(0, plain.indexOf(plain[3])));
    const told = engine.generateChoices(guided(), 1, () => ({ onToken: () => 'stop' }))[0];
    expect(await told.drain()).toMatchObject({ finishReason: 'stop', outputTokens: plain.slice(0, 1) });
    const aborted = engine.generateChoices(guided({ signal: AbortSignal.abort() }), 1)[0];
    expect((await aborted.finished).finishReason).toBe('abort');
    const [left] = engine.generateChoices(guided(), 1);
    for await (const { token } of left) {
      expect(token).toBe(plain[0]);
      break;
    }
    await turns(5);
    expect(engine.pagesInUse).toBe(0);
    engine.checkIntegrity();
  });

  it('gives the tokens that both prompts leave room for', async () => {
    const { engine } = setup({}, { ...ROOMY, numPages: 10 });
    const { outputTokens } = await engine.generateChoices(guided({ maxTokens: 39 - PROMPT.length }), 1)[0].drain();
    // Of six pages of four, and 14 tokens of prompts.
    expect(outputTokens).toEqual(plainToy(PROMPT, AWAY, 1.5, 5));
    const long = Array.from({ length: 20 }, () => 3);
    expect(() => engine.generateChoices(guided({}, { negativeTokens: long }), 1)).toThrow(ContextLengthError);
  });

  it.each<[field: string, request: ChoicesRequest, count?: number]>([
    ['guidance_scale', guided({}, { scale: 101 })],
    ['guidance_scale', guided({}, { scale: Number.NaN })],
    ['speculation', guided({ speculation: { ngram: true, draft: false } })],
    ['dola_layers', guided({ dola: 'low' })],
    ['dry_multiplier', guided({ sampling: { ...GREEDY, dryMultiplier: 1, drySequenceBreakers: [] } })],
    ['mirostat', guided({ sampling: { ...GREEDY, temperature: 1, mirostat: 2 } })],
    ['n', guided(), 2],
  ])('refuses what it cannot do: %s', (field, asked, count = 1) => {
    const { engine } = setup({}, ROOMY);
    expect(() => engine.generateChoices(asked, count)).toThrow(
      expect.toSatisfy((error) => error instanceof InvalidOptionError && error.field === field),
    );
    expect(engine.metrics.requests.waiting).toBe(0);
  });

  it('refuses recurrent models and machines for one', () => {
    for (const limits of [{ recurrent: true }, { maxSlots: 1 }, { maxRows: 1 }, { maxSampledRows: 1 }]) {
      const { engine } = setup({}, { ...ROOMY, ...limits });
      expect(() => engine.generateChoices(guided(), 1)).toThrow(UnsupportedModelError);
    }
  });

  it('gives among others what it gives alone, on machines of any size, through preemption and a lost device', async () => {
    const { preempted, lost } = await onRandomMachines({
      count: 240,
      limits: ({ int }, { contextLength, pageSize }) => ({
        maxRows: int(2, 16),
        maxSampledRows: int(2, 8),
        maxSlots: int(2, 6),
        numPages: Math.ceil((2 * contextLength) / pageSize) + 4 + int(0, 2),
      }),
      searches: ({ int }) => int(2, 5),
      async search({ int, engine, room, name }) {
        const maxTokens = int(1, room);
        const promptTokens = PROMPT.slice(0, int(1, PROMPT.length));
        const negativeTokens = PROMPT.slice(int(1, PROMPT.length - 1));
        const asked = guided({ promptTokens, maxTokens, priority: int(-1, 1) }, { negativeTokens });
        const { outputTokens } = await engine.generateChoices(asked, 1)[0].drain();
        expect(outputTokens, name).toEqual(plainToy(promptTokens, negativeTokens, 1.5, maxTokens));
      },
    });
    expect(preempted).toBeGreaterThan(10);
    expect(lost).toBeGreaterThan(3);
  });
});
