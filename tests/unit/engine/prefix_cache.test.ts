import { describe, expect, it } from 'vitest';
import { InvalidFileError, InvalidOptionError } from '../../../src/errors';
import { expected, PROMPT, request, setup, turns } from './toy_engine';

describe('the prefix cache', () => {
  const LARGE = { contextLength: 120, numPages: 30, maxSlots: 3, maxRows: 40 };

  it('computes only what is new in the second turn of a chat', async () => {
    const { engine, runner } = setup({}, LARGE);
    const first = await engine.generate(request(PROMPT)).drain();
    expect(first.cachedTokens).toBe(0);
    const history = [...PROMPT, ...first.outputTokens];
    const news = [8, 8, 1];
    const before = runner.rows;
    const second = await engine.generate(request([...history, ...news], { maxTokens: 5 })).drain();
    // The last token of an answer was sampled and never computed.
    expect(second.cachedTokens).toBe(history.length - 1);
    expect(runner.rows - before).toBe(1 + news.length + 4);
    expect(second.outputTokens).toEqual(expected([...history, ...news], 5));
    expect(engine.pagesInUse).toBe(0);
    engine.checkIntegrity();
  });

  it('shares a beginning between requests that run at once, and cuts it where they differ', async () => {
    const { engine, runner } = setup({}, LARGE);
    const system = Array.from({ length: 17 }, (_, i) => i);
    const first = engine.generate(request([...system, 1], { maxTokens: 30 }));
    await turns(8);
    const before = runner.rows;
    const others = [2, 3].map((token) => engine.generate(request([...system, token], { maxTokens: 1 })).drain());
    // Four full pages of four, and of the fifth, which the first request has filled by now, what is alike.
    expect((await Promise.all(others)).map(({ cachedTokens }) => cachedTokens)).toEqual([17, 17]);
    expect(runner.rows - before).toBeLessThan(2 * system.length);
    expect((await Promise.all(others)).map(({ outputTokens }) => outputTokens[0])).toEqual(
      [2, 3].map((token) => expected([...system, token], 1)[0]),
    );
    expect((await first.drain()).outputTokens).toEqual(expected([...system, 1], 30));
    const again = await engine.generate(request([...system, 2, 9, 9], { maxTokens: 4 })).drain();
    expect(again.cachedTokens).toBe(18);
    expect(again.outputTokens).toEqual(expected([...system, 2, 9, 9], 4));
  });

  it('has the same prompt again but for its last token, whatever the size of a page', async () => {
    const { engine, runner } = setup({}, { ...LARGE, pageSize: 32, numPages: 8 });
    for (const cached of [0, PROMPT.length - 1]) {
      const before = runner.rows;
      const result = await engine.generate(request(PROMPT, { maxTokens: 1 })).drain();
      expect(result).toMatchObject({ cachedTokens: cached, outputTokens: expected(PROMPT, 1) });
      expect(runner.rows - before).toBe(PROMPT.length - cached);
    }
  });

  it('gives its pages up, the oldest first, when others need them', async () => {
    const { engine } = setup({}, { numPages: 10, maxSlots: 1 });
    const prompts = [0, 1, 2].map((start) => Array.from({ length: 15 }, (_, i) => (i * 3 + start) % 31));
    for (const prompt of prompts) await engine.generate(request(prompt, { maxTokens: 2 })).drain();
    const hits: number[] = [];
    for (const prompt of [prompts[2], prompts[0], prompts[2]]) {
      const { cachedTokens, outputTokens } = await engine.generate(request(prompt, { maxTokens: 2 })).drain();
      hits.push(cachedTokens);
      expect(outputTokens).toEqual(expected(prompt, 2));
    }
    expect(hits[0]).toBe(14);
    expect(hits[1]).toBeLessThan(14);
    expect(hits[2]).toBe(14);
  });

  it('is taken out as bytes and brought back, beside other requests', async () => {
    const { engine, runner } = setup({}, LARGE);
    const first = await engine.generate(request(PROMPT)).drain();
    const history = [...PROMPT, ...first.outputTokens];
    const other = engine.generate(request([30, 2, 1], { maxTokens: 30 })).drain();
    const bytes = await engine.savePrefix(history, 'about nothing');
    const again = setup({}, LARGE);
    const busy = again.engine.generate(request([9, 9], { maxTokens: 20 })).drain();
    expect(await again.engine.loadPrefix(bytes)).toEqual({
      tokens: history,
      note: 'about nothing',
      positions: history.length - 1,
    });
    const second = await again.engine.generate(request([...history, 8], { maxTokens: 5 })).drain();
    expect(second.cachedTokens).toBe(history.length - 1);
    expect(second.outputTokens).toEqual(expected([...history, 8], 5));
    expect((await busy).outputTokens).toEqual(expected([9, 9], 20));
    expect((await other).outputTokens).toEqual(expected([30, 2, 1], 30));
    for (const { pagesInUse } of [engine, again.engine]) expect(pagesInUse).toBe(0);
    engine.checkIntegrity();
    again.engine.checkIntegrity();
    expect(runner.steps).toBeGreaterThan(0);

    const full = setup({}, { ...LARGE, numPages: 3, contextLength: 12 });
    expect((await full.engine.loadPrefix(bytes)).positions).toBe(12);
    const foreign = setup({}, { ...LARGE, vocabSize: 40 });
    await expect(foreign.engine.loadPrefix(bytes)).rejects.toThrow(InvalidOptionError);
    full.engine.checkIntegrity();
  });

  it('refuses saved bytes that are broken, whatever is wrong with them', async () => {
    const { engine } = setup({}, LARGE);
    await engine.generate(request(PROMPT)).drain();
    const bytes = await engine.savePrefix(PROMPT);
    const broken = [
      new Uint8Array(),
      bytes.subarray(0, 20),
      bytes.subarray(0, bytes.length - 1),
      bytes.slice().fill(0),
    ];
    const flipped = bytes.slice();
    flipped[bytes.length - 3] ^= 16;
    broken.push(flipped);
    for (const [at, value] of [
      [0, 88],
      [4, 9],
      [8, 255],
      [11, 255],
      [12, 33],
    ] as const) {
      const copy = bytes.slice();
      copy[at] = value;
      broken.push(copy);
    }
    for (const each of broken) await expect(engine.loadPrefix(each)).rejects.toThrow(InvalidFileError);
    expect(engine.pagesInUse).toBe(0);
  });

  it('is off when it is not wanted, and for models whose state cannot be shared', async () => {
    for (const { engine } of [setup({ prefixCache: false }, LARGE), setup({}, { ...LARGE, recurrent: true })]) {
      for (let turn = 0; turn < 2; turn++) {
        expect((await engine.generate(request(PROMPT)).drain()).cachedTokens).toBe(0);
      }
    }
  });
});
