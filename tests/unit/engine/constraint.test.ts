import { describe, expect, it } from 'vitest';
import type { NextTokens, TokenConstraint } from '../../../src/engine/constraint';
import { GREEDY } from '../../../src/engine/runner';
import { InvalidOptionError } from '../../../src/errors';
import { nextAllowed, nextToken } from './fake_runner';
import { LIMITS, PROMPT, request, setup } from './toy_engine';

const STOP = 0;
const { vocabSize } = LIMITS;

function maskOf(tokens: readonly number[]): Uint32Array {
  const mask = new Uint32Array(Math.ceil(vocabSize / 32));
  for (const token of tokens) mask[token >> 5] |= 1 << (token & 31);
  return mask;
}

/** What may follow the output so far. */
type Language = (output: readonly number[]) => readonly number[] | 'end';

/** Groups of four tokens from 1 to 2 and then 20, 21, 22; behind the third and each later one it may end, behind the last it must. */
function grouped(groups: number): Language {
  return (output) => {
    const place = output.length % 7;
    if (place > 3) return [16 + place];
    if (output.length === 7 * groups) return 'end';
    return place === 0 && output.length >= 21 ? [STOP, 1, 2] : [1, 2];
  };
}

class ToyConstraint implements TokenConstraint {
  readonly output: number[] = [];
  disposed = 0;

  constructor(private readonly language: Language) {}

  next(): NextTokens {
    const tokens = this.language(this.output);
    if (tokens === 'end') return { kind: 'end' };
    return tokens.length === 0 ? { kind: 'dead end' } : { kind: 'choice', mask: maskOf(tokens) };
  }

  accept(token: number): void {
    if (!this.language(this.output).includes(token as never)) throw new Error(`${token} is forbidden`);
    this.output.push(token);
  }

  rollback(count: number): void {
    if (count > 0) this.output.splice(-count);
  }

  forced(): readonly number[] {
    const tokens: number[] = [];
    for (;;) {
      const next = this.language([...this.output, ...tokens]);
      if (next === 'end' || next.length !== 1 || next[0] === STOP) return tokens;
      tokens.push(next[0]);
    }
  }

  dispose(): void {
    this.disposed++;
  }
}

/** What the toy model says under a constraint, token by token. */
function expected(language: Language, most: number): number[] {
  const tokens = [...PROMPT];
  for (;;) {
    const next = language(tokens.slice(PROMPT.length));
    if (next === 'end' || tokens.length === PROMPT.length + most) break;
    const token = nextAllowed(maskOf(next), nextToken(tokens, 0, vocabSize), vocabSize);
    if (token === STOP) break;
    tokens.push(token);
  }
  return tokens.slice(PROMPT.length);
}

describe('an output under a constraint', () => {
  const stopTokens = new Set([STOP]);

  it.each([
    ['what is forced is computed beside its prompt', {}, false, false],
    ['with penalties every token is sampled', { sampling: { ...GREEDY, presencePenalty: 1 } }, true, false],
    ['guesses are checked too', { speculation: { ngram: true, draft: false } }, false, false],
    ['guesses of a fixed length', { speculation: { ngram: true, draft: false, length: 2 } }, false, true],
  ])('%s', async (_, options, samplesAll, guesses) => {
    const { engine, runner } = setup({}, { contextLength: 80, numPages: 20 });
    const constraint = new ToyConstraint(grouped(6));
    const before = runner.steps;
    const result = await engine
      .generate(request(PROMPT, { maxTokens: 60, stopTokens, constraint, ...options }))
      .drain();
    const output = expected(grouped(6), 60);
    expect(output.length).toBeGreaterThan(20);
    expect(result).toMatchObject({ finishReason: 'stop', outputTokens: output });
    expect(constraint.disposed).toBe(1);
    const steps = runner.steps - before;
    if (samplesAll) expect(steps).toBeGreaterThanOrEqual(output.length);
    else expect(steps).toBeLessThanOrEqual((output.length / 7) * 4 + 2);
    if (guesses) expect(result.speculative?.accepted).toBeGreaterThan(0);
    engine.checkIntegrity();
    engine.dispose();
  });

  it('does not change what others say', async () => {
    const { engine } = setup();
    const alone = await engine.generate(request([7, 7, 2], { maxTokens: 20 })).drain();
    const constraint = new ToyConstraint(grouped(6));
    const [, beside] = await Promise.all([
      engine.generate(request(PROMPT, { maxTokens: 29, stopTokens, constraint })).drain(),
      engine.generate(request([7, 7, 2], { maxTokens: 20 })).drain(),
    ]);
    expect(beside.outputTokens).toEqual(alone.outputTokens);
    engine.dispose();
  });

  it('is cut off by its length in the middle of what is forced, and says so', async () => {
    const { engine } = setup();
    const constraint = new ToyConstraint(grouped(6));
    const result = await engine.generate(request(PROMPT, { maxTokens: 6, stopTokens, constraint })).drain();
    expect(result).toMatchObject({ finishReason: 'length', outputTokens: expected(grouped(6), 6) });
    expect(constraint.disposed).toBe(1);
    engine.dispose();
  });

  it('goes on in one step with others that came later', async () => {
    const { engine, runner } = setup({}, { maxSlots: 4, contextLength: 80, numPages: 80 });
    // Nothing is forced, nothing may end.
    const free: Language = () => [1, 2, 3];
    const answers: Promise<unknown>[] = [];
    for (let i = 0; i < 4; i++) {
      const constraint = new ToyConstraint(free);
      await new Promise<void>((begun) => {
        const onToken = () => {
          begun();
          return 'continue' as const;
        };
        answers.push(engine.generate(request(PROMPT, { maxTokens: 40, constraint, onToken })).drain());
      });
    }
    await Promise.all(answers);
    // Each begins by itself, and four times forty steps would be apart.
    expect(runner.steps).toBeLessThan(60);
    engine.checkIntegrity();
    engine.dispose();
  });

  it('holds beyond the context, whose middle is dropped', async () => {
    const { engine } = setup();
    const constraint = new ToyConstraint((output) => (output.length % 7 > 3 ? [16 + (output.length % 7)] : [1, 2]));
    const contextOverflow = { sinks: 4, window: 12 };
    const result = await engine
      .generate(request(PROMPT, { maxTokens: 90, stopTokens, constraint, contextOverflow }))
      .drain();
    expect(result.overflow?.shifts).toBeGreaterThan(2);
    expect(constraint.output).toEqual(result.outputTokens);
    engine.checkIntegrity();
    engine.dispose();
  });

  it('is disposed of when it is aborted, and when its reader leaves', async () => {
    const { engine } = setup({ maxUnread: 3 });
    const aborted = new AbortController();
    const constraints = [new ToyConstraint(grouped(6)), new ToyConstraint(grouped(6))];
    const [first, second] = constraints.map((constraint, i) =>
      engine.generate(
        request(PROMPT, { maxTokens: 29, stopTokens, constraint, signal: i === 0 ? aborted.signal : undefined }),
      ),
    );
    for await (const _ of second) break;
    aborted.abort();
    expect((await first.finished).finishReason).toBe('abort');
    expect(constraints.map(({ disposed }) => disposed)).toEqual([1, 1]);
    await engine.generate(request([7])).drain();
    engine.checkIntegrity();
    engine.dispose();
  });

  it('is complete when nothing may follow, also where it has just the length', async () => {
    const { engine } = setup();
    const result = await engine
      .generate(request(PROMPT, { maxTokens: 7, stopTokens, constraint: new ToyConstraint(grouped(1)) }))
      .drain();
    expect(result).toMatchObject({ finishReason: 'stop', outputTokens: expected(grouped(1), 7) });
    expect(result.stopToken).toBeUndefined();
    engine.dispose();
  });

  it('lives through preemption and a reader that stops reading', async () => {
    const { engine } = setup({ maxUnread: 5 }, { numPages: 10 });
    const requests = [0, 1].map(() =>
      request(PROMPT, { maxTokens: 25, stopTokens, constraint: new ToyConstraint(grouped(6)) }),
    );
    const outputs = await Promise.all(
      requests.map(async (each) => {
        const tokens: number[] = [];
        for await (const { token } of engine.generate(each)) {
          await new Promise((resolve) => setImmediate(resolve));
          tokens.push(token);
        }
        return tokens;
      }),
    );
    for (const output of outputs) expect(output).toEqual(expected(grouped(6), 25));
    engine.checkIntegrity();
    engine.dispose();
  });

  it('ends with an error where no token of the vocabulary can follow, and the engine goes on', async () => {
    const { engine } = setup();
    const constraint = new ToyConstraint((output) => (output.length < 2 ? [5] : []));
    const failing = engine.generate(request(PROMPT, { stopTokens, constraint })).drain();
    await expect(failing).rejects.toThrow(InvalidOptionError);
    expect(constraint.disposed).toBe(1);
    const result = await engine.generate(request([7])).drain();
    expect(result.outputTokens).toHaveLength(10);
    engine.checkIntegrity();
    engine.dispose();
  });
});
