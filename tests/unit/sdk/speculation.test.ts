import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { createEngine, InvalidOptionError } from '../../../src/index';

const bytes = (name: string) => new Uint8Array(readFileSync(`public/models/${name}.q8_0.gguf`));

describe('a draft model', () => {
  test('drafts for every answer, changes none, and is switched off on request', async () => {
    const engine = await createEngine({
      model: bytes('demo'),
      draft: bytes('draft'),
      backend: 'reference',
      worker: false,
    });
    const ask = (speculation?: false | { ngram?: boolean; length?: number; acceptance?: 'coupled' }) =>
      engine.chat.completions.create({
        messages: [{ role: 'user', content: 'Who are you?' }],
        max_tokens: 12,
        temperature: 0.8,
        seed: 4,
        speculation,
      });
    const [plain, drafted] = [await ask(false), await ask()];
    expect(plain.usage.speculative).toBeUndefined();
    expect(drafted.usage.speculative?.drafted).toBeGreaterThan(0);
    expect(drafted.choices[0].message.content).toBe(plain.choices[0].message.content);
    // Nobody asked for a certain answer: guesses are judged by rejection sampling.
    const free = await engine.chat.completions.create({
      messages: [{ role: 'user', content: 'Who are you?' }],
      max_tokens: 16,
      temperature: 0.8,
      speculation: { draft: true, length: 3 },
    });
    expect(free.usage.speculative?.accepted).toBeGreaterThan(0);
    const held = (speculation: false | { draft: true; length: number }) =>
      engine.chat.completions.create({
        messages: [{ role: 'user', content: 'Who are you?' }],
        max_tokens: 16,
        temperature: 0,
        response_format: { type: 'regex', regex: 'I am [ -~]*' },
        speculation,
      });
    const [alone, guessed] = [await held(false), await held({ draft: true, length: 3 })];
    expect(guessed.usage.speculative?.accepted).toBeGreaterThan(0);
    expect(guessed.choices).toEqual(alone.choices);
    expect(alone.choices[0].message.content).toMatch(/^I am [ -~]*$/);
    await expect(ask({ length: 99 })).rejects.toBeInstanceOf(InvalidOptionError);
    await expect(ask({ acceptance: 'always' as 'coupled' })).rejects.toThrow(/speculation.acceptance.*rejection/);
    await engine.dispose();
  });
});
