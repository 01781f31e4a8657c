import { expect, it } from 'vitest';
import { Engine } from '../../../src/engine/engine';
import { GREEDY, type RunnerLimits, type SegmentResult } from '../../../src/engine/runner';
import { Scheduler } from '../../../src/engine/scheduler';
import { type RowRange, Sequence } from '../../../src/engine/sequence';
import { StepLoop } from '../../../src/engine/step_loop';
import { FakeRunner, nextToken, seededRandom } from './fake_runner';
import { expected, request, LIMITS as TOY_LIMITS, turns } from './toy_engine';

const LIMITS: RunnerLimits = {
  vocabSize: 29,
  contextLength: 80,
  maxRows: 24,
  maxSampledRows: 12,
  maxSlots: 3,
  pageSize: 3,
  numPages: 60,
};

/** Guesses up to `drafts` tokens ahead, some of them wrong, and has them verified in one step: what speculation needs of the core. */
class GuessingSequence extends Sequence {
  readonly sampling = GREEDY;
  readonly returnLogits = false;
  readonly paused = false;
  override readonly sharesPrefix = true;
  verified = 0;
  #guesses: number[] = [];

  constructor(
    id: number,
    prompt: readonly number[],
    private readonly output: number,
    private readonly guess: (tokens: readonly number[]) => number[],
  ) {
    super(id, prompt);
  }

  get maxPositions(): number {
    return this.promptLength + this.output + 8;
  }

  nextRows(maxRows: number, maxSampledRows: number): RowRange | undefined {
    // Only what is known can be guessed on from.
    if (this.stepsInFlight > 0 || this.backlog > maxRows || maxSampledRows < 1) return undefined;
    const position = this.computed;
    if (this.backlog > 1) return { position, count: this.backlog, sample: 'last' };
    this.#guesses = this.guess(this.tokens).slice(0, Math.min(maxRows, maxSampledRows) - 1);
    return { position, count: 1 + this.#guesses.length, sample: 'all' };
  }

  override tokensOf(rows: RowRange): number[] {
    return rows.sample === 'all' ? [this.tokens[rows.position], ...this.#guesses] : super.tokensOf(rows);
  }

  accept({ position, sample }: RowRange, { samples }: SegmentResult): boolean {
    if (sample === 'last') this.tokens.push(samples[0].token);
    else {
      let agreed = 0;
      while (agreed < this.#guesses.length && this.#guesses[agreed] === samples[agreed].token) agreed++;
      for (const { token } of samples.slice(0, agreed + 1)) this.tokens.push(token);
      this.verified += agreed;
      this.computed = Math.min(this.computed, position + agreed + 1);
    }
    return this.tokens.length >= this.promptLength + this.output;
  }

  start(): void {}

  fail(error: unknown): void {
    throw error;
  }
}

it('verifies guesses in one step, takes the wrong ones back, and loses no page', async () => {
  const random = seededRandom(7);
  const runner = new FakeRunner(LIMITS, () => 1);
  const scheduler = new Scheduler(LIMITS);
  const failure = new Promise<never>((_, reject) => {
    const loop = new StepLoop(runner, scheduler, {
      maxStepsInFlight: 2,
      onStep: () => scheduler.checkIntegrity(),
      onFailure: reject,
    });
    queueMicrotask(() => loop.wake());
  });
  const guess = (tokens: readonly number[]): number[] => {
    const ahead = [...tokens];
    for (let i = 0; i < 5; i++) ahead.push(random() < 0.8 ? nextToken(ahead, 0, LIMITS.vocabSize) : 3);
    return ahead.slice(tokens.length);
  };
  const sequences = [0, 1, 2].map((id) => new GuessingSequence(id, [4, 4, 1 + id, 5], 40, guess));
  for (const sequence of sequences) scheduler.add(sequence);
  await Promise.race([failure, Promise.all(sequences.map((s) => new Promise<void>((end) => (s.onEnd = end))))]);
  for (const { tokens, promptLength, verified } of sequences) {
    const expected = tokens.slice(0, promptLength);
    while (expected.length < tokens.length) expected.push(nextToken(expected, 0, LIMITS.vocabSize));
    expect(tokens).toEqual(expected);
    expect(verified).toBeGreaterThan(10);
  }
  expect(runner.steps).toBeLessThan(40);
  expect(scheduler.pagesInUse).toBe(0);
  scheduler.checkIntegrity();
});

it('has fewer guesses verified where pages are short, and preempts nobody for them: all get to their end', async () => {
  let preemptions = 0;
  for (let seed = 1; seed <= 15; seed++) {
    const random = seededRandom(seed);
    const int = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1));
    const size = { maxRows: 16, maxSampledRows: 16, maxSlots: 4, numPages: int(10, 18) };
    const runner = new FakeRunner({ ...TOY_LIMITS, ...size }, () => int(0, 2));
    const draft = new FakeRunner({ ...TOY_LIMITS, ...size, numPages: 60 }, () => int(0, 3), undefined, 6);
    const engine = new Engine(runner, { draft, onStep: () => engine.checkIntegrity() });
    const jobs: Promise<void>[] = [];
    for (let i = 0; i < 8; i++) {
      const prompt = Array.from({ length: int(1, 20) }, () => int(0, TOY_LIMITS.vocabSize - 1));
      const maxTokens = int(1, TOY_LIMITS.contextLength - prompt.length);
      const speculation = { ngram: false, draft: true, length: int(4, 15) };
      const { finished } = engine.generate(request(prompt, { maxTokens, speculation }));
      jobs.push(
        finished.then(({ outputTokens }) =>
          expect(outputTokens, `schedule ${seed}`).toEqual(expected(prompt, maxTokens)),
        ),
      );
      if (random() < 0.5) await turns(int(0, 8));
    }
    await Promise.all(jobs);
    preemptions += engine.metrics.preemptions;
    expect(engine.pagesInUse).toBe(0);
    engine.dispose();
  }
  expect(preemptions).toBeGreaterThan(10);
});
