import { expect, test } from 'vitest';
import { fileSource } from '../../../src/cli/file_source';
import { ContextOverflow } from '../../../src/engine/context_overflow';
import { Engine } from '../../../src/engine/engine';
import { GREEDY } from '../../../src/engine/runner';
import { loadModel } from '../../../src/model/load_model';
import { seeded } from '../../support/seeded';

const CONTEXT = 64;
const OUTPUT = 120;
const SETTINGS = { sinks: 8, window: 24 };

async function open(name: string, contextLength: number): Promise<Engine> {
  const source = await fileSource(`tests/fixtures/models/${name}.gguf`);
  return new Engine((await loadModel(source, { backend: 'reference', contextLength, maxRows: 8 })).runner);
}

const request = (promptTokens: readonly number[], maxTokens: number) => ({
  promptTokens,
  maxTokens,
  sampling: GREEDY,
  stopTokens: new Set<number>(),
});

// Layers that slide in pages of their own, and layers with a state that no page holds.
test.each(['gemma2', 'lfm2'])(
  '%s says beyond the context what it says to the shortened text',
  async (name) => {
    const random = seeded(7);
    const prompt = Array.from({ length: 100 }, () => 3 + Math.floor(150 * random()));
    const engine = await open(name, CONTEXT);
    const asked = { ...request(prompt, OUTPUT), contextOverflow: SETTINGS };
    const { outputTokens, overflow } = await engine.generate(asked).drain();
    engine.checkIntegrity();
    expect(overflow?.shifts).toBe(5);

    const longer = await open(name, 2 * CONTEXT);
    const what = new ContextOverflow(SETTINGS, CONTEXT);
    const expected: number[] = [];
    while (expected.length < OUTPUT) {
      const seen = [...prompt, ...expected];
      what.shorten(seen);
      // As many as there are positions, and the one that has none.
      const count = Math.min(OUTPUT - expected.length, CONTEXT + 1 - seen.length);
      expected.push(...(await longer.generate(request(seen, count)).drain()).outputTokens);
    }
    expect(outputTokens).toEqual(expected);
  },
  60_000,
);
