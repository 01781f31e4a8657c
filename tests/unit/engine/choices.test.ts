import { describe, expect, it } from 'vitest';
import { seedOfChoice } from '../../../src/engine/choices';
import { GREEDY } from '../../../src/engine/runner';
import { InvalidOptionError } from '../../../src/errors';
import { nextToken } from './fake_runner';
import { LIMITS, PROMPT, request, setup, turns } from './toy_engine';

const SLOTS = { maxSlots: 4, numPages: 40 };

/** What the toy model says to a prompt under a seed. */
function saidAlone(seed: number, count: number): number[] {
  const tokens = [...PROMPT];
  while (tokens.length < PROMPT.length + count) tokens.push(nextToken(tokens, seed, LIMITS.vocabSize));
  return tokens.slice(PROMPT.length);
}

describe('several answers to one prompt', () => {
  const asked = request(PROMPT, { sampling: { ...GREEDY, seed: 77 } });
  const seeds = [0, 1, 2, 3].map((index) => seedOfChoice(77, index));

  it('are each what their seed says alone, the first that of the request', async () => {
    const { engine } = setup({ onStep: () => engine.checkIntegrity() }, SLOTS);
    const results = await Promise.all(engine.generateChoices(asked, 4).map((choice) => choice.drain()));
    expect(results.map(({ outputTokens }) => outputTokens)).toEqual(seeds.map((seed) => saidAlone(seed, 10)));
    expect(seeds[0]).toBe(77);
    expect(new Set(seeds).size).toBe(4);
    expect(results.map(({ cachedTokens }) => cachedTokens)).toEqual([0, 10, 10, 10]);
    await turns(10);
    expect(engine.pagesInUse).toBe(0);
  });

  it('compute the prompt once and share its full pages', async () => {
    let most = 0;
    const { engine, runner } = setup({ onStep: ({ pagesInUse }) => (most = Math.max(most, pagesInUse)) }, SLOTS);
    await Promise.all(engine.generateChoices(asked, 4).map((choice) => choice.drain()));
    await turns(10);
    // Of the prompt its last row once per answer: its logits. The last token of each answer is never computed.
    expect(runner.rows).toBe(PROMPT.length - 1 + 4 + 4 * 9);
    // Two full pages of four are everybody's; three more hold the rest of the prompt and the output, of each its own.
    expect(most).toBe(2 + 4 * 3);
  });

  it('begin before anybody reads the first, and go on when its reader leaves', async () => {
    const { engine } = setup({ maxUnread: 2 }, SLOTS);
    const [first, second, third] = engine.generateChoices(asked, 3);
    expect((await third.drain()).outputTokens).toEqual(saidAlone(seeds[2], 10));
    for await (const _ of first) break;
    expect((await first.finished).finishReason).toBe('abort');
    expect((await second.drain()).outputTokens).toEqual(saidAlone(seeds[1], 10));
    await turns(10);
    expect(engine.pagesInUse).toBe(0);
    engine.checkIntegrity();
  });

  it('are given by models that share nothing, with fewer slots than answers, and to a prompt of one token', async () => {
    for (const limits of [{ ...SLOTS, recurrent: true }, { maxSlots: 1 }]) {
      const { engine } = setup({ prefixCache: false }, limits);
      const results = await Promise.all(engine.generateChoices(asked, 3).map((choice) => choice.drain()));
      expect(results.map(({ outputTokens }) => outputTokens)).toEqual(seeds.slice(0, 3).map((s) => saidAlone(s, 10)));
    }
    const { engine } = setup({}, SLOTS);
    const results = await Promise.all(engine.generateChoices(request([5], { maxTokens: 1 }), 3).map((c) => c.drain()));
    expect(results.map(({ outputTokens }) => outputTokens.length)).toEqual([1, 1, 1]);
  });

  it('end together with the signal', async () => {
    const { engine } = setup({}, SLOTS);
    const abort = new AbortController();
    const choices = engine.generateChoices({ ...asked, maxTokens: 29, signal: abort.signal }, 4);
    await turns(1);
    abort.abort();
    const results = await Promise.all(choices.map(({ finished }) => finished));
    expect(results.map(({ finishReason }) => finishReason)).toEqual(['abort', 'abort', 'abort', 'abort']);
    await turns(10);
    expect(engine.pagesInUse).toBe(0);
  });

  it.each([0, 1.5, 129, Number.NaN])('%d of them are refused', (count) => {
    const { engine } = setup();
    expect(() => engine.generateChoices(asked, count)).toThrow(InvalidOptionError);
    expect(engine.metrics.requests.waiting).toBe(0);
  });
});
