import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fileSource } from '../../src/cli/file_source';
import { Engine } from '../../src/engine/engine';
import { GREEDY, type SamplingSettings } from '../../src/engine/runner';
import { type CallCounter, countCalls } from '../../src/gpu/counters';
import { type LoadedModel, loadModel } from '../../src/model/load_model';

/** Tokens before and after the counted ones: the pipeline fills and drains there. */
const MARGIN = 4;
const COUNTED = 8;

const SAMPLINGS: readonly (readonly [name: string, settings: SamplingSettings])[] = [
  ['greedy', GREEDY],
  ['temperature, top-k and top-p', { ...GREEDY, temperature: 0.8, topK: 40, topP: 0.9, seed: 5 }],
  ['penalties', { ...GREEDY, temperature: 1, repetitionPenalty: 1.1, frequencyPenalty: 0.2, seed: 5 }],
];

describe('a decoded token of the demo model', () => {
  let model: LoadedModel;

  beforeAll(async () => {
    model = await loadModel(await fileSource('public/models/demo.q8_0.gguf'), {
      backend: 'webgpu',
      contextLength: 128,
      maxRows: 16,
    });
  });
  afterAll(() => model.dispose());

  test.each(SAMPLINGS)('%s: one pass, one submit, nothing created', async (_, sampling) => {
    const { device, runner, description } = model;
    if (!device) throw new Error('the model is not on a GPU');
    const bytes = device.allocatedBytes;
    const counts = countCalls(device.device);
    const engine = new Engine(runner);
    const generation = engine.generate({
      promptTokens: [1, 5, 9],
      maxTokens: COUNTED + 2 * MARGIN,
      sampling,
      stopTokens: new Set(),
    });
    let token = 0;
    let counted: Partial<CallCounter> = {};
    for await (const _ of generation) {
      token++;
      if (token === MARGIN) counts.reset();
      if (token === MARGIN + COUNTED) counted = { ...counts };
    }
    engine.dispose();
    counts.restore();
    expect(token).toBe(COUNTED + 2 * MARGIN);

    expect(counted).toMatchObject({
      passes: COUNTED,
      submits: COUNTED,
      maps: COUNTED,
      bindGroups: 0,
      buffers: 0,
      pipelines: 0,
      shaderModules: 0,
    });
    expect(counted.bufferWrites).toBeLessThanOrEqual(COUNTED);
    expect((counted.dispatches ?? 0) / COUNTED).toBeLessThanOrEqual(7 * description.numLayers + 6);
    expect(device.allocatedBytes).toBe(bytes);
  });
});
