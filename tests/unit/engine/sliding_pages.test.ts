import { expect, test } from 'vitest';
import type { Engine } from '../../../src/engine/engine';
import { slidingPagesFor } from '../../../src/engine/kv_pages';
import { expected, request, setup } from './toy_engine';

const WINDOW = 6;
const LARGE = { contextLength: 120, numPages: 60, maxSlots: 3 } as const;
/** What one sequence needs of layers that slide. */
const ONE = slidingPagesFor(WINDOW, 8, 4);

/** A toy model of which some layers see the last six positions only. */
function sliding(numPages: number) {
  return setup({}, { ...LARGE, sliding: { window: WINDOW, numPages } });
}

const prompt = Array.from({ length: 50 }, (_, i) => (i * 7) % 31);
const inUse = (engine: Engine) => engine.metrics.sliding?.pagesInUse ?? 0;

test('a long sequence runs on the pages of its window', async () => {
  const { engine } = sliding(ONE);
  let most = 0;
  const onToken = () => {
    most = Math.max(most, inUse(engine));
    return 'continue' as const;
  };
  const { outputTokens } = await engine.generate(request(prompt, { maxTokens: 60, onToken })).drain();
  expect(outputTokens).toEqual(expected(prompt, 60));
  expect(most).toBeGreaterThan(1);
  // Decoding: what six positions lie on, and the page of the rows in flight.
  expect(most).toBeLessThanOrEqual(4);
  expect(inUse(engine)).toBe(0);
  engine.checkIntegrity();
});

test('a second turn goes on where the first ended; what began alike goes as far as its window is still there', async () => {
  const { engine, runner } = sliding(2 * ONE);
  const first = await engine.generate(request(prompt, { maxTokens: 20 })).drain();
  const turn = [...prompt, ...first.outputTokens, 1, 2, 3];
  const second = await engine.generate(request(turn)).drain();
  expect(second.cachedTokens).toBe(prompt.length + 19);
  expect(second.outputTokens).toEqual(expected(turn, 10));

  // Others take the pages that the window has left.
  for (let i = 0; i < 4; i++) await engine.generate(request([20 + i, ...prompt])).drain();
  const rows = runner.rows;
  const again = await engine.generate(request([...prompt.slice(0, 30), 9, 9])).drain();
  expect(again.outputTokens).toEqual(expected([...prompt.slice(0, 30), 9, 9], 10));
  expect(runner.rows - rows).toBe(32 - again.cachedTokens + 9);
  expect(again.cachedTokens).toBeLessThan(30);
  engine.checkIntegrity();
});

test('a fork of a parent that has moved on computes again what it cannot see any more', async () => {
  const { engine } = setup({}, { ...LARGE, maxSlots: 1, sliding: { window: WINDOW, numPages: ONE } });
  const parent = engine.generate(request(prompt, { maxTokens: 40 }));
  let child: ReturnType<Engine['fork']> | undefined;
  let read = 0;
  for await (const _ of parent) if (++read === 5) child = engine.fork(parent, { ...request([]), maxTokens: 5 });
  // It had to wait for the only slot until the parent was done.
  const result = await child?.drain();
  expect(result?.promptTokens).toEqual([...prompt, ...expected(prompt, result ? result.promptTokens.length - 50 : 0)]);
  expect(result?.outputTokens).toEqual(expected(result?.promptTokens ?? [], 5));
  engine.checkIntegrity();
});

test('a saved conversation brings back the pages of its window', async () => {
  const { engine } = sliding(2 * ONE);
  const first = await engine.generate(request(prompt)).drain();
  const history = [...prompt, ...first.outputTokens];
  const bytes = await engine.savePrefix(history);
  const other = sliding(2 * ONE);
  expect(await other.engine.loadPrefix(bytes)).toMatchObject({ positions: history.length - 1 });
  const second = await other.engine.generate(request([...history, 4])).drain();
  expect(second.cachedTokens).toBe(history.length - 1);
  expect(second.outputTokens).toEqual(expected([...history, 4], 10));
  other.engine.checkIntegrity();
  // Bytes of a model with one pool are another model's.
  const shared = setup({}, LARGE);
  await expect(shared.engine.loadPrefix(bytes)).rejects.toThrow(/another model/);
});
