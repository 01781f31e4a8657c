import { describe, expect, it } from 'vitest';
import { fileSource } from '../../../src/cli/file_source';
import { type DolaLayers, layersToContrast, parseDolaLayers } from '../../../src/engine/dola';
import { Engine } from '../../../src/engine/engine';
import type { GenerateRequest } from '../../../src/engine/generation';
import { GREEDY, type Sample } from '../../../src/engine/runner';
import { InvalidOptionError, UnsupportedModelError } from '../../../src/errors';
import { loadModel } from '../../../src/model/load_model';
import { type PlainModel, plainModel } from '../../support/plain_head';
import { PROMPT, request, setup } from './toy_engine';

const exits = (numLayers: number, tiedEmbeddings = false) => ({ numLayers, tiedEmbeddings });

// By hand, from the description of `dola_layers` in transformers' documentation.
describe('the layers that are contrasted', () => {
  it.each<[asked: DolaLayers, numLayers: number, tied: boolean, layers: number[]]>([
    ['low', 32, false, [0, 2, 4, 6, 8, 10, 12, 14]],
    ['low', 32, true, [2, 4, 6, 8, 10, 12, 14]],
    ['high', 32, true, [16, 18, 20, 22, 24, 26, 28, 30]],
    ['low', 80, false, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]],
    ['high', 80, false, [60, 62, 64, 66, 68, 70, 72, 74, 76, 78]],
    ['low', 4, true, [2]],
    ['low', 1, false, [0]],
    ['high', 1, true, [0]],
    ['high', 3, false, [1]],
    [[5, 1, 5], 6, false, [1, 5]],
  ])('%j of %d layers, embeddings tied: %s', (asked, numLayers, tied, layers) => {
    expect(layersToContrast(asked, exits(numLayers, tied))).toEqual(layers);
  });

  it.each([[[]], [[6]], [[-1]], [[1.5]]])('%j of 6 is refused', (layers) => {
    expect(() => layersToContrast(layers, exits(6))).toThrow(InvalidOptionError);
  });

  it.each(['middle', 3, ['1'], {}])('%j is no choice of layers', (value) => {
    expect(() => parseDolaLayers(value)).toThrow(InvalidOptionError);
  });

  it('are refused where the model has none', () => {
    const { engine } = setup();
    expect(() => engine.generate(request(PROMPT, { dola: 'low' }))).toThrow(UnsupportedModelError);
    expect(engine.metrics.requests.waiting).toBe(0);
  });
});

/** log(q_N(x) / q_M(x)) over the plausible tokens, -Infinity elsewhere: equations 2 to 5 of Chuang et al. 2024, written down. */
function contrast(model: PlainModel, tokens: readonly number[], layers: readonly number[]): number[] {
  const streams = model.streams(tokens);
  const logN = model.predict(streams[streams.length - 1]);
  const divergence = (logM: readonly number[]): number => {
    const middle = logN.map((log, i) => Math.log((Math.exp(log) + Math.exp(logM[i])) / 2));
    const kl = (logP: readonly number[]): number =>
      logP.reduce((sum, log, i) => sum + Math.exp(log) * (log - middle[i]), 0);
    return (kl(logN) + kl(logM)) / 2;
  };
  const early = layers.map((layer) => model.predict(streams[layer]));
  const premature = early.reduce((a, b) => (divergence(b) > divergence(a) ? b : a));
  const best = Math.max(...logN);
  return logN.map((log, i) => (Math.exp(log) >= 0.1 * Math.exp(best) ? log - premature[i] : Number.NEGATIVE_INFINITY));
}

describe.each(['llama-gqa', 'gpt2'])('DoLa on %s', (name) => {
  const loaded = (async () => {
    const source = await fileSource(`tests/fixtures/models/${name}.gguf`);
    return {
      plain: await plainModel(name),
      model: await loadModel(source, { backend: 'reference', contextLength: 32 }),
    };
  })();

  async function samples(engine: Engine, more: Partial<GenerateRequest>): Promise<Sample[]> {
    const found: Sample[] = [];
    const promptTokens = [1, 33, 85, 131];
    for await (const sample of engine.generate(request(promptTokens, { maxTokens: 5, ...more }))) found.push(sample);
    return found;
  }

  it('gives, beside a request without it, what the formulas give', async () => {
    const { plain, model } = await loaded;
    const engine = new Engine(model.runner);
    const layers = Array.from({ length: model.description.numLayers }, (_, layer) => layer);
    const alone = await samples(engine, {});
    const [found, neighbour] = await Promise.all([
      samples(engine, { dola: layers, sampling: { ...GREEDY, topLogprobs: 2 } }),
      samples(engine, {}),
    ]);
    expect(neighbour).toEqual(alone);
    const tokens = [1, 33, 85, 131];
    for (const { token, logprob, top } of found) {
      const logits = contrast(plain, tokens, layers);
      const logSum = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
      expect(token).toBe(logits.indexOf(Math.max(...logits)));
      expect(logprob).toBeCloseTo(logits[token] - logSum, 4);
      const second = Math.max(...logits.filter((_, other) => other !== token));
      if (second > Number.NEGATIVE_INFINITY) expect(top[1][1]).toBeCloseTo(second - logSum, 4);
      tokens.push(token);
    }
    expect(found.map(({ token }) => token)).not.toEqual(alone.map(({ token }) => token));
  });

  it('leaves what is less plausible where nothing else may be chosen', async () => {
    const { plain, model } = await loaded;
    const engine = new Engine(model.runner);
    const prompt = [1, 33, 85, 131];
    const layers = [0, 1];
    const plausible = contrast(plain, prompt, layers).flatMap((logit, token) =>
      logit > Number.NEGATIVE_INFINITY ? token : [],
    );
    const logitBias = plausible.map((token) => [token, Number.NEGATIVE_INFINITY] as const);
    const [{ token }] = await samples(engine, { dola: layers, maxTokens: 1, sampling: { ...GREEDY, logitBias } });
    const logs = plain.predict(plain.streams(prompt).at(-1) as Float32Array);
    const best = Math.max(...logs.filter((_, other) => !plausible.includes(other)));
    expect(token).toBe(logs.indexOf(best));
  });

  it('is drawn from like any other distribution: seeds reproduce, guesses change nothing', async () => {
    const { model } = await loaded;
    const engine = new Engine(model.runner);
    const sampling = { ...GREEDY, temperature: 1.5, seed: 11 };
    const drawn = await samples(engine, { dola: 'high', sampling });
    expect(await samples(engine, { dola: 'high', sampling })).toEqual(drawn);
    const speculation = { ngram: true, draft: false, length: 3 };
    expect(await samples(engine, { dola: 'high', sampling, speculation })).toEqual(drawn);
  });
});
