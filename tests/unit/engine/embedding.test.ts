import { describe, expect, it } from 'vitest';
import { Engine } from '../../../src/engine/engine';
import { type Batch, GREEDY, type Runner, type RunnerLimits, type StepResult } from '../../../src/engine/runner';
import { AbortedError, ContextLengthError, KernelError, UnsupportedModelError } from '../../../src/errors';

const LIMITS: RunnerLimits = {
  vocabSize: 100,
  embeddingSize: 2,
  contextLength: 64,
  maxRows: 64,
  maxSampledRows: 4,
  maxSlots: 4,
  pageSize: 32,
  numPages: 6,
};

/** An encoder whose vector is [number of tokens, sum of tokens]. */
class ToyEncoder implements Runner {
  readonly batches: Batch[] = [];
  constructor(readonly limits: RunnerLimits = LIMITS) {}
  openSlot(): void {}
  copyPages(): void {}
  dispose(): void {}
  async run(batch: Batch): Promise<StepResult> {
    this.batches.push(batch);
    await new Promise((resolve) => setTimeout(resolve, 0));
    return {
      segments: batch.segments.map(({ tokens }) => ({
        samples: [],
        logits: [
          Float32Array.of(
            tokens.length,
            tokens.reduce((a, b) => a + b, 0),
          ),
        ],
      })),
    };
  }
}

describe('embedding', () => {
  it('gives each text its own vector, several texts a step, each whole', async () => {
    const runner = new ToyEncoder();
    const engine = new Engine(runner);
    const texts = Array.from({ length: 11 }, (_, i) => Array.from({ length: 5 + i }, (_, at) => (7 * i + at) % 100));
    const vectors = await Promise.all(texts.map((promptTokens) => engine.embed({ promptTokens })));
    expect(vectors.map((vector) => [...vector])).toEqual(
      texts.map((text) => [text.length, text.reduce((a, b) => a + b, 0)]),
    );
    expect(runner.batches.length).toBeLessThanOrEqual(6);
    for (const { segments } of runner.batches) {
      expect(segments.every(({ position }) => position === 0)).toBe(true);
      expect(segments.reduce((sum, { tokens }) => sum + tokens.length, 0)).toBeLessThanOrEqual(LIMITS.maxRows);
    }
    engine.checkIntegrity();
    expect(engine.pagesInUse).toBe(0);
  });

  it('refuses a text that is too long with both numbers, and says what a model cannot do', async () => {
    const engine = new Engine(new ToyEncoder());
    const long = Array.from({ length: 65 }, () => 1);
    await expect(engine.embed({ promptTokens: long })).rejects.toThrow(ContextLengthError);
    const request = { promptTokens: [1], maxTokens: 1, sampling: GREEDY, stopTokens: new Set<number>() };
    expect(() => engine.generate(request)).toThrow(UnsupportedModelError);
    const { embeddingSize: _, ...limits } = LIMITS;
    await expect(new Engine(new ToyEncoder(limits)).embed({ promptTokens: [1] })).rejects.toThrow(
      UnsupportedModelError,
    );
  });

  it('refuses a vector of no numbers, that of another text is there', async () => {
    class BrokenEncoder extends ToyEncoder {
      override async run(batch: Batch): Promise<StepResult> {
        const { segments } = await super.run(batch);
        for (const [i, { tokens }] of batch.segments.entries())
          if (tokens[0] === 9) segments[i].logits?.[0].fill(Number.NaN);
        return { segments };
      }
    }
    const engine = new Engine(new BrokenEncoder());
    const [broken, right] = await Promise.allSettled(
      [
        [9, 1],
        [8, 1],
      ].map((promptTokens) => engine.embed({ promptTokens })),
    );
    expect(broken).toMatchObject({ status: 'rejected', reason: expect.any(KernelError) });
    expect(right).toMatchObject({ status: 'fulfilled', value: Float32Array.of(2, 9) });
  });

  it('ends at once when it is aborted, and frees its pages', async () => {
    const engine = new Engine(new ToyEncoder());
    const controller = new AbortController();
    const vector = engine.embed({ promptTokens: [1, 2, 3], signal: controller.signal });
    controller.abort();
    await expect(vector).rejects.toThrow(AbortedError);
    expect(engine.pagesInUse).toBe(0);
  });
});
