import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { fileSource } from '../../../src/cli/file_source';
import { Engine } from '../../../src/engine/engine';
import type { GenerationResult } from '../../../src/engine/generation_output';
import { GREEDY } from '../../../src/engine/runner';
import type { SpeculationSettings } from '../../../src/engine/speculation/speculators';
import { type LoadedModel, loadModel } from '../../../src/model/load_model';
import { chatTemplate } from '../../../src/tokenizer/chat_template';
import { renderChat } from '../../../src/tokenizer/render_chat';
import { createTokenizer } from '../../../src/tokenizer/tokenizer';
import { pick, seeded } from '../../support/seeded';

const PROMPTS = 'tests/fixtures/spec_bench.jsonl';
const COUNT = 3;
/** Tokens of a prompt: its end, where it has more. */
const LONGEST = 64;
const OUTPUT = 10;
const SEED = Math.floor(Math.random() * 2 ** 31);

const MODES: readonly SpeculationSettings[] = [
  { ngram: true, draft: false },
  { ngram: true, draft: false, length: 15 },
  { ngram: false, draft: true },
  { ngram: false, draft: true, length: 1 },
  { ngram: false, draft: true, length: 7 },
  { ngram: true, draft: true, length: 4 },
];

describe(`speculation over prompts of Spec-Bench, seed ${SEED}`, () => {
  let model: LoadedModel;
  let draft: LoadedModel;
  let prompts: number[][];

  beforeAll(async () => {
    model = await loadModel(await fileSource('public/models/demo.q8_0.gguf'), { backend: 'reference' });
    draft = await loadModel(await fileSource('public/models/draft.q8_0.gguf'), { backend: 'reference' });
    const tokenizer = createTokenizer(model.gguf);
    const template = chatTemplate(model.gguf, tokenizer);
    const random = seeded(SEED);
    const lines = readFileSync(PROMPTS, 'utf8').trim().split('\n');
    prompts = Array.from({ length: COUNT }, () => {
      const { turns } = JSON.parse(pick(random, lines)) as { readonly turns: readonly string[] };
      return renderChat(tokenizer, template, [{ role: 'user', content: turns[0] }]).slice(-LONGEST);
    });
  });

  async function answers(engine: Engine, batched: boolean, speculation?: SpeculationSettings) {
    const drain = (promptTokens: readonly number[]) =>
      engine
        .generate({ promptTokens, maxTokens: OUTPUT, sampling: GREEDY, stopTokens: new Set(), speculation })
        .drain();
    const results: GenerationResult[] = [];
    if (batched) results.push(...(await Promise.all(prompts.map(drain))));
    else for (const prompt of prompts) results.push(await drain(prompt));
    engine.checkIntegrity();
    return results.map(({ outputTokens }) => outputTokens);
  }

  it('gives the greedy output of plain decoding: every mode, every length, batched or not', async () => {
    const engine = new Engine(model.runner, { draft: draft.runner });
    const plain = await answers(engine, false);
    for (const mode of MODES) {
      const batched = mode.length !== undefined;
      expect(await answers(engine, batched, mode), JSON.stringify(mode)).toEqual(plain);
    }
    engine.dispose();
  });
});
