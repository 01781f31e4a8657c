import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { main } from '../../../src/cli/main';
import type { ScoreRequest } from '../../../src/engine/scoring';
import { measurePerplexity } from '../../../src/model/perplexity';

/** A model that gives the token after `t`, t + 1, a probability of `sure` and shares the rest among nine others. */
function counting(sure: number): { seen: number[][]; score(request: ScoreRequest): Promise<void> } {
  const seen: number[][] = [];
  return {
    seen,
    score: async ({ promptTokens, onLogits }) => {
      seen.push([...promptTokens]);
      promptTokens.forEach((token, position) => {
        const logits = new Float32Array(10).fill(Math.log((1 - sure) / 9));
        logits[(token + 1) % 10] = Math.log(sure);
        onLogits(position, logits);
      });
    },
  };
}

const upwards = (count: number): number[] => Array.from({ length: count }, (_, i) => i % 10);

describe('perplexity', () => {
  it('is one over the probability that a model gives to every token', async () => {
    const result = await measurePerplexity(counting(0.25), upwards(8), { contextLength: 16 });
    expect(result.perplexity).toBeCloseTo(4, 5);
    expect(result.tokens).toBe(7);
  });

  it('counts the second half of each window, and of what is left at the end', async () => {
    const model = counting(0.5);
    // Windows of 8, 8, 7 and 4 tokens are scored; with half a window of context 3, 3, 2 and none are predicted.
    expect((await measurePerplexity(model, upwards(23), { contextLength: 8 })).tokens).toBe(3 + 3 + 2);
    expect((await measurePerplexity(model, upwards(20), { contextLength: 8 })).tokens).toBe(3 + 3);
  });

  it('begins each window with the start token where there is one', async () => {
    const model = counting(0.5);
    await measurePerplexity(model, [9, ...upwards(15)], { contextLength: 8, bos: 9 });
    expect(model.seen.map(([first]) => first)).toEqual([9, 9]);
    expect(model.seen[1].slice(1)).toEqual([8, 9, 0, 1, 2, 3, 4]);
  });

  it('refuses a text that leaves nothing to predict', async () => {
    await expect(measurePerplexity(counting(0.5), [1], { contextLength: 8 })).rejects.toThrow('too few');
  });
});

const STORIES = 'tests/fixtures/stories/stories260K-';
const TEXT = 'tests/fixtures/stories/text.txt';

/** By the terminal command, on the reference executor. */
async function perplexityOf(model: string, text: string, ...more: string[]): Promise<number> {
  let out = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    out += String(chunk);
    return true;
  });
  const notices = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const args = ['perplexity', model, '--file', text, '--backend', 'reference', '--json', ...more];
  expect(await main(args)).toBe(0);
  write.mockRestore();
  notices.mockRestore();
  return (JSON.parse(out) as { perplexity: number }).perplexity;
}

describe('tessera perplexity on a trained model', () => {
  it('differs by less than 0.1 % between F32 and F16, and by less than 1 % to Q8_0', async () => {
    const of = (type: string): Promise<number> => perplexityOf(`${STORIES}${type}.gguf`, TEXT, '--ctx', '128');
    const [f32, f16, q8] = [await of('f32'), await of('f16'), await of('q8_0')];
    expect(Math.abs(f16 / f32 - 1)).toBeLessThan(0.001);
    expect(Math.abs(q8 / f32 - 1)).toBeLessThan(0.01);
  });

  it('changes by less than 0.5 % with a KV cache in q8_0 and by less than 5 % in q4_0', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'perplexity-'));
    const text = join(folder, 'text.txt');
    await writeFile(text, (await readFile(TEXT)).subarray(0, 1000));
    const of = (kv: string): Promise<number> => perplexityOf('public/models/demo.q8_0.gguf', text, '--kv', kv);
    const [f32, q8, q4] = [await of('f32'), await of('q8_0'), await of('q4_0')];
    await rm(folder, { recursive: true });
    expect(Math.abs(q8 / f32 - 1)).toBeLessThan(0.005);
    expect(Math.abs(q4 / f32 - 1)).toBeLessThan(0.05);
    expect(q4).not.toBe(f32);
  });
});
