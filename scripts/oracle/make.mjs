import { readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { getLlama } from 'node-llama-cpp';
import { writeGguf } from './gguf.mjs';
import { seeded, VOCAB_SIZE } from './model.mjs';

const OUT = fileURLToPath(new URL('../../tests/fixtures/models/', import.meta.url));
const CONTEXT = 256;
const GREEDY_TOKENS = 32;
const LONG_POSITIONS = [9, 19, 29, 39, 49, 59, 69, 79, 89, 99, 109, 119, 129, 139, 146, 147, 148, 149];

const round = (x) => Number(x.toFixed(6));

/** The ten best of one position, from raw logits. */
function describe(logits, at) {
  const sorted = [...logits].sort((a, b) => b[1] - a[1]);
  const logSumExp = sorted[0][1] + Math.log(sorted.reduce((sum, [, x]) => sum + Math.exp(x - sorted[0][1]), 0));
  return {
    at,
    top: sorted.slice(0, 10).map(([token, x]) => [token, round(x - logSumExp)]),
    logSumExp: round(logSumExp),
    margin: round(sorted[0][1] - sorted[1][1]),
  };
}

/** Feeds tokens and gives the logits after each of them, as lists of [token, logit]. */
async function evaluate(sequence, tokens) {
  const items = tokens.map((token) => [token, { generateNext: { logits: true, options: { temperature: 0 } } }]);
  const results = await sequence.controlledEvaluate(items);
  return tokens.map((_, i) => [...results[i].next.logits]);
}

async function answer(context, name, tokens, at) {
  const sequence = context.getSequence();
  const rows = await evaluate(sequence, tokens);
  const greedy = [];
  const greedyMargins = [];
  let last = describe(rows[rows.length - 1], 0);
  for (let i = 0; i < GREEDY_TOKENS; i++) {
    greedy.push(last.top[0][0]);
    greedyMargins.push(last.margin);
    const [row] = await evaluate(sequence, [last.top[0][0]]);
    last = describe(row, 0);
  }
  sequence.dispose();
  return { name, tokens, positions: at.map((position) => describe(rows[position], position)), greedy, greedyMargins };
}

/** The pooled vector of an embedding model, as it is. */
async function embed(model, name, tokens) {
  const context = await model.createEmbeddingContext({
    contextSize: CONTEXT,
    batchSize: CONTEXT,
    threads: 1,
    flashAttention: false,
  });
  const { vector } = await context.getEmbeddingFor(tokens);
  await context.dispose();
  return { name, tokens, vector: vector.map(round) };
}

/** Writes NAME.gguf and NAME.expected.json. A model may bring other values for llama.cpp (`oracleTensors`): those that its quantised ones decode to. */
async function make(llama, name) {
  const { default: model } = await import(`./models/${name}.mjs`);
  const {
    arch,
    note,
    seed,
    kind = 'causal',
    weights = 'F32',
    metadata,
    tensors,
    oracleTensors,
    vocabSize = VOCAB_SIZE,
  } = model;
  const file = `${OUT}${name}.gguf`;
  const bytes = writeGguf(metadata, tensors);
  writeFileSync(file, oracleTensors ? writeGguf(metadata, oracleTensors) : bytes);
  const random = seeded(seed + 1);
  const prompt = (length) => Array.from({ length }, () => Math.floor(random() * vocabSize));
  const short = model.prompt?.(12, random) ?? prompt(12);
  const long = model.prompt?.(150, random) ?? prompt(150);
  const loaded = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
  const prompts = [];
  if (kind === 'embedding') {
    prompts.push(await embed(loaded, 'short', short), await embed(loaded, 'long', long));
  } else {
    for (const [label, tokens, at] of [
      ['short', short, short.map((_, i) => i)],
      ['long', long, LONG_POSITIONS],
    ]) {
      const context = await loaded.createContext({
        contextSize: CONTEXT,
        batchSize: CONTEXT,
        sequences: 1,
        threads: 1,
        flashAttention: false,
        experimentalKvCacheKeyType: 'F32',
        experimentalKvCacheValueType: 'F32',
      });
      prompts.push(await answer(context, label, tokens, at));
      await context.dispose();
    }
  }
  await loaded.dispose();
  writeFileSync(file, bytes);
  const header = {
    name,
    arch,
    weights,
    kind,
    note,
    file: `${name}.gguf`,
    settings: {
      engine: 'llama.cpp v0.5.0 through node-llama-cpp 3.22.1, CPU',
      contextSize: CONTEXT,
      kvCache: kind === 'embedding' ? 'none' : 'F32',
      flashAttention: false,
      threads: 1,
    },
    reference: oracleTensors ? 'evaluated from the decoded weights' : 'evaluated from this file',
  };
  const text = `${JSON.stringify(header, undefined, 1).slice(0, -2)},\n "prompts": [${prompts.map((p) => JSON.stringify(p)).join(',\n  ')}]\n}\n`;
  writeFileSync(`${OUT}${name}.expected.json`, text);
  const best = prompts[0].positions?.map(({ top }) => top[0][1].toFixed(2)).join(' ') ?? '';
  console.log(`${name}: ${bytes.length} bytes, best log-probabilities ${best}`);
}

const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: 'warn' });
const all = readdirSync(new URL('models/', import.meta.url)).map((file) => file.replace(/\.mjs$/, ''));
for (const name of process.argv.length > 2 ? process.argv.slice(2) : all) await make(llama, name);
await llama.dispose();
process.exit(0);
