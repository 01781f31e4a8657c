/** What a model says under a format fits it, whatever it would have liked to say. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fileSource } from '../../src/cli/file_source';
import { Engine } from '../../src/engine/engine';
import type { GenerationResult } from '../../src/engine/generation_output';
import { GREEDY } from '../../src/engine/runner';
import { type LoadedModel, loadModel } from '../../src/model/load_model';
import { Grammars } from '../../src/structured/grammars';
import { chatTemplate } from '../../src/tokenizer/chat_template';
import { renderChat } from '../../src/tokenizer/render_chat';
import { createTokenizer, type Tokenizer } from '../../src/tokenizer/tokenizer';
import { validate } from '../support/json_validator';
import { randomSchema } from '../support/random_schema';
import { pick, seeded } from '../support/seeded';

const SCHEMAS = 200;
const PROMPTS = [
  'Describe a person as JSON.',
  'Who are you?',
  'List three animals.',
  'Write a story about a fox.',
  '{"',
];

let model: LoadedModel;
let tokenizer: Tokenizer;
let engine: Engine;
let grammars: Grammars;

beforeAll(async () => {
  model = await loadModel(await fileSource('public/models/demo.q8_0.gguf'), { backend: 'webgpu', maxSlots: 8 });
  tokenizer = createTokenizer(model.gguf);
  engine = new Engine(model.runner);
  grammars = new Grammars(tokenizer, model.runner.limits.vocabSize);
});
afterAll(() => {
  engine.dispose();
  model.dispose();
});

function promptOf(content: string): number[] {
  return renderChat(tokenizer, chatTemplate(model.gguf, tokenizer), [{ role: 'user', content }]);
}

async function answer(seed: number, speculates: boolean): Promise<{ schema: unknown; result: GenerationResult }> {
  const random = seeded(seed);
  // Most are small: a step takes long on a software driver.
  const schema = randomSchema(random, seed % 8 === 0 ? 1 : 0);
  const [constraint] = await grammars.constraints({ type: 'json_schema', json_schema: { schema } }, 1);
  const generation = engine.generate({
    promptTokens: promptOf(pick(random, PROMPTS)),
    maxTokens: 512,
    sampling: seed % 2 === 0 ? GREEDY : { ...GREEDY, temperature: 1, seed },
    stopTokens: tokenizer.stopTokens,
    constraint,
    speculation: speculates ? { ngram: true, draft: false, length: 4 } : undefined,
  });
  return { schema, result: await generation.drain() };
}

it(`${SCHEMAS} answers of the demo model parse and validate, with and without guesses; who runs beside them notices nothing`, async () => {
  const plain = () =>
    engine.generate({
      promptTokens: promptOf('Who are you?'),
      maxTokens: 60,
      sampling: GREEDY,
      stopTokens: tokenizer.stopTokens,
    });
  const alone: unknown[] = [];
  for await (const sample of plain()) alone.push(sample);
  const beside: unknown[] = [];
  const besides = (async () => {
    for await (const sample of plain()) beside.push(sample);
  })();
  const answers = await Promise.all(Array.from({ length: SCHEMAS }, (_, seed) => answer(seed, seed % 8 === 0)));
  await besides;
  expect(beside).toEqual(alone);
  let guesses = 0;
  for (const [seed, { schema, result }] of answers.entries()) {
    const text = tokenizer.decode(result.outputTokens);
    const context = `${seed} ${JSON.stringify(schema)}: ${text}`;
    expect(result.finishReason, context).toBe('stop');
    expect(validate(JSON.parse(text), schema), context).toEqual([]);
    guesses += result.speculative?.drafted ?? 0;
  }
  expect(guesses).toBeGreaterThan(0);
  const others = await Promise.all(Array.from({ length: 24 }, (_, seed) => answer(seed, seed % 8 !== 0)));
  for (const [seed, { result }] of others.entries())
    expect(result.outputTokens, `${seed}`).toEqual(answers[seed].result.outputTokens);
  engine.checkIntegrity();
});
