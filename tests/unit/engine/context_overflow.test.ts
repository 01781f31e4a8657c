import { describe, expect, it } from 'vitest';
import { MAX_CHOICES, seedOfChoice } from '../../../src/engine/choices';
import { slidingPagesFor } from '../../../src/engine/kv_pages';
import { InvalidOptionError } from '../../../src/errors';
import { FakeRunner, nextToken } from './fake_runner';
import { LIMITS, PROMPT, request, setup } from './toy_engine';

const CONTEXT = 40;
const SETTINGS = { sinks: 6, window: 10 };
/** Positions between the two. */
const STRIDE = 24;

/** What the toy model says when it is asked anew for every token, with what is to be kept of the text. */
function plain(prompt: readonly number[], count: number, seed = 0) {
  const text = [...prompt];
  const shiftsOf = (length: number) => Math.max(0, Math.ceil((length - CONTEXT) / STRIDE));
  const before = shiftsOf(prompt.length);
  for (let i = 0; i < count; i++) {
    const shifts = shiftsOf(text.length);
    const seen = [...text.slice(0, SETTINGS.sinks), ...text.slice(SETTINGS.sinks + shifts * STRIDE)];
    const drawn = shifts === before ? seed : seedOfChoice(seed, MAX_CHOICES + shifts - before);
    text.push(nextToken(seen, drawn, LIMITS.vocabSize));
  }
  return text.slice(prompt.length);
}

describe('a request that may outgrow the context', () => {
  it('goes on with the first tokens and the newest ones', async () => {
    const sliding = { window: 5, numPages: slidingPagesFor(5, LIMITS.maxRows, LIMITS.pageSize) };
    for (const limits of [{}, { maxRepeat: 8 }, { sliding }, { recurrent: true }]) {
      const { engine, runner } = setup({}, limits);
      const asked = request(PROMPT, { maxTokens: 100, contextOverflow: SETTINGS });
      const result = await engine.generate(asked).drain();
      expect(result.outputTokens).toEqual(plain(PROMPT, 100));
      expect(result.finishReason).toBe('length');
      expect(result.promptTokens).toEqual(PROMPT);
      // 111 tokens, of which the last one is never computed: full at 40, and every 24 after that.
      expect(result.overflow).toEqual({ shifts: 3, droppedTokens: 72, droppedPromptTokens: 0 });
      // Each time the window was computed again, and the sinks where they are not cached: layers that slide have left them.
      expect(runner.rows).toBe(110 + 3 * ('recurrent' in limits || 'sliding' in limits ? 16 : 10));
      engine.checkIntegrity();
      expect(engine.pagesInUse).toBe(0);
    }
  });

  it('takes a prompt of any length, and a next turn costs its own tokens', async () => {
    const { engine, runner } = setup();
    const prompt = Array.from({ length: 95 }, (_, i) => (i * 7) % 31);
    const ask = (promptTokens: readonly number[]) =>
      engine.generate(request(promptTokens, { maxTokens: 5, contextOverflow: SETTINGS })).drain();
    const first = await ask(prompt);
    expect(first.outputTokens).toEqual(plain(prompt, 5));
    expect(first.promptTokens).toEqual(prompt);
    expect(first.overflow).toEqual({ shifts: 3, droppedTokens: 72, droppedPromptTokens: 72 });
    expect(runner.rows).toBe(95 - 72 + 4);
    const turn = [...prompt, ...first.outputTokens, 1, 2, 3];
    const second = await ask(turn);
    expect(second.outputTokens).toEqual(plain(turn, 5));
    expect(second.cachedTokens).toBe(95 + 4 - 72);
    expect(runner.rows).toBe(95 - 72 + 4 + 4 + 4);
  });

  it('speculates as ever, in and among other requests', async () => {
    const draft = new FakeRunner({ ...LIMITS, maxSampledRows: 8, maxSlots: 4, numPages: 30 }, () => 1, undefined, 4);
    const { engine } = setup({ draft }, { maxSampledRows: 8 });
    const prompt = PROMPT;
    const speculation = { ngram: true, draft: true, length: 4 };
    const results = await Promise.all(
      [0, 1, 2].map((seed) =>
        engine
          .generate(
            request(prompt, {
              maxTokens: 60,
              contextOverflow: SETTINGS,
              speculation,
              sampling: { ...request([]).sampling, seed },
            }),
          )
          .drain(),
      ),
    );
    expect(results.map(({ outputTokens }) => outputTokens)).toEqual([0, 1, 2].map((seed) => plain(prompt, 60, seed)));
    expect(results[0].speculative?.accepted).toBeGreaterThan(10);
  });

  it('has defaults that leave room, and refuses what leaves none', async () => {
    const { engine } = setup();
    const ask = (contextOverflow: object) => engine.generate(request(PROMPT, { maxTokens: 60, contextOverflow }));
    // 5 tokens of 40 at the beginning, 17 at the end.
    expect((await ask({}).drain()).overflow).toEqual({ shifts: 2, droppedTokens: 36, droppedPromptTokens: 0 });
    for (const wrong of [{ sinks: 30, window: 10 }, { sinks: -1 }, { sinks: 1.5 }, { window: 0 }, { window: 40 }]) {
      expect(() => ask(wrong), JSON.stringify(wrong)).toThrow(InvalidOptionError);
    }
  });

  it('can be forked: the fork begins with what the model still sees', async () => {
    const { engine } = setup({ maxUnread: 1000 });
    const parent = engine.generate(request(PROMPT, { maxTokens: 60, contextOverflow: SETTINGS }));
    const { outputTokens } = await parent.drain();
    const child = await engine.fork(parent, { ...request([]), maxTokens: 3 }).drain();
    // 71 tokens: full at 40 and at 64.
    const text = [...PROMPT, ...outputTokens];
    expect(child.promptTokens).toEqual([...text.slice(0, 6), ...text.slice(6 + 2 * STRIDE)]);
  });
});
