import { expect, test } from 'vitest';
import { Engine } from '../../../src/engine/engine';
import type { Batch, StepResult } from '../../../src/engine/runner';
import { KernelError } from '../../../src/errors';
import { FakeRunner } from './fake_runner';
import { expected, LIMITS, PROMPT, request } from './toy_engine';

/** Computes no numbers for sequences of more than so many tokens that began with this one. */
class BrokenRunner extends FakeRunner {
  constructor(
    private readonly begin: number,
    private readonly after: number,
  ) {
    super(LIMITS, () => 1);
  }

  readonly #broken = new Set<number>();

  override async run(batch: Batch): Promise<StepResult> {
    for (const { slot, position, tokens } of batch.segments) {
      if (position === 0 && tokens[0] === this.begin) this.#broken.add(slot);
    }
    const { segments } = await super.run(batch);
    return {
      segments: segments.map((result, i) => {
        const { slot, position } = batch.segments[i];
        if (!this.#broken.has(slot) || position < this.after) return result;
        return { ...result, samples: result.samples.map((sample) => ({ ...sample, token: 0, noChance: true })) };
      }),
    };
  }
}

test('a request whose logits are no numbers ends in an error after what it said before; others go on', async () => {
  const engine = new Engine(new BrokenRunner(7, PROMPT.length + 2));
  const broken = engine.generate(request([7, ...PROMPT.slice(1)]));
  const other = engine.generate(request(PROMPT));
  const told: number[] = [];
  const others: number[] = [];
  const read = async (generation: AsyncIterable<{ readonly token: number }>, into: number[]): Promise<void> => {
    for await (const { token } of generation) into.push(token);
  };
  const [failed] = await Promise.allSettled([read(broken, told), read(other, others)]);
  expect(failed).toMatchObject({
    status: 'rejected',
    reason: { message: expect.stringMatching(/no token has a probability.*self-test/) },
  });
  expect((failed as PromiseRejectedResult).reason).toBeInstanceOf(KernelError);
  expect(told).toEqual(expected([7, ...PROMPT.slice(1)], told.length));
  expect(told.length).toBeGreaterThan(0);
  expect(others).toEqual(expected(PROMPT, 10));
  engine.dispose();
});
