import { beforeAll, describe, expect, it } from 'vitest';
import { fileSource } from '../../../src/cli/file_source';
import { Engine } from '../../../src/engine/engine';
import { GREEDY, type Runner, type SamplingSettings } from '../../../src/engine/runner';
import { type LoadedModel, loadModel } from '../../../src/model/load_model';

const STEPS = 40;

/** Settings whose choices depend on what was chosen before, and some that do not; each with a prompt of its own. */
const REQUESTS: readonly (readonly [settings: Partial<SamplingSettings>, prompt: readonly number[]])[] = [
  [{ mirostat: 1, mirostatTau: 4 }, [3, 4, 5]],
  [{ mirostat: 2, mirostatTau: 4, repetitionPenalty: 1.3 }, [3, 4, 5]],
  [{ dryMultiplier: 2, dryAllowedLength: 1 }, [7, 8, 7, 8, 7]],
  [{ temperature: 0, repetitionPenalty: 1.5, frequencyPenalty: 0.5, repeatLastN: 6 }, [9, 9, 10, 11, 12, 13, 14, 15]],
  [{ presencePenalty: 2, typicalP: 0.9, repeatLastN: 3 }, [16, 17]],
  [{ xtcProbability: 0.5, xtcThreshold: 0.01, topNSigma: 2, dynatempRange: 0.5 }, [18]],
  [{ topK: 20, samplers: ['temperature', 'top_k'] }, [19, 20, 21]],
];

describe('the sampler chain in an engine', () => {
  let model: LoadedModel;

  beforeAll(async () => {
    model = await loadModel(await fileSource('tests/fixtures/models/gpt2.gguf'), {
      backend: 'reference',
      contextLength: 256,
      maxSlots: 3,
    });
  });

  /** The outputs of these requests at once on a machine with this many pages. */
  async function outputs(indices: readonly number[], numPages = model.runner.limits.numPages) {
    const runner: Runner = Object.create(model.runner, {
      limits: { value: { ...model.runner.limits, numPages } },
    });
    const engine = new Engine(runner);
    const generations = indices.map((i) => {
      const [settings, promptTokens] = REQUESTS[i];
      const sampling = { ...GREEDY, temperature: 1, ...settings, seed: 100 + i };
      const request = { promptTokens, maxTokens: STEPS, stopTokens: new Set<number>() };
      return engine.generate({ ...request, sampling, dryBreakers: new Map([[30, [[]]]]) });
    });
    const results = await Promise.all(generations.map((generation) => generation.drain()));
    engine.checkIntegrity();
    const { preemptions } = engine.metrics;
    engine.dispose();
    return { tokens: results.map(({ outputTokens }) => outputTokens), preemptions };
  }

  it('gives each request what it gets alone: side by side, waiting for slots, preempted and resumed', async () => {
    const all = REQUESTS.map((_, i) => i);
    const alone: (readonly number[])[] = [];
    for (const i of all) alone.push(...(await outputs([i])).tokens);
    expect(alone.every(({ length }) => length === STEPS)).toBe(true);
    const together = await outputs(all);
    expect(together.tokens).toEqual(alone);
    const crowded = await outputs(all, 4);
    expect(crowded.preemptions).toBeGreaterThan(0);
    expect(crowded.tokens).toEqual(alone);
  });
});
