import { expect, it } from 'vitest';
import { InvalidFileError, UnsupportedModelError } from '../../../src/errors';
import type { GgufMetadata, GgufValue } from '../../../src/formats/gguf/gguf';
import { BYTE_TO_CHARACTER } from '../../../src/tokenizer/byte_level';
import { createTokenizerFromJson } from '../../../src/tokenizer/json/tokenizer_json';
import { createTokenizer, type Tokenizer } from '../../../src/tokenizer/tokenizer';
import { pick, seeded } from '../../support/seeded';
import { SHAPES, TEXTS } from './support/json_shapes';
import { bpeGguf, spmGguf } from './support/vocabularies';

const JSON_FILES = 1300;
const GGUF_FILES = 900;

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const ODD: readonly Json[] = [
  null,
  true,
  false,
  0,
  -1,
  1,
  0.5,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  1e308,
  '',
  'a',
  ' ',
  '▁',
  '<unk>',
  '##',
  '\ud800',
  '__proto__',
  'x'.repeat(5e3),
  'BPE',
  'Unigram',
  'WordPiece',
  'Sequence',
  'ByteLevel',
  'Metaspace',
  '(a*)*b',
  String.raw`\s+`,
  'AAAA',
  [],
  {},
  [[]],
  [null],
  ['a', 1],
  { type: 'Sequence' },
  { Regex: '(.*)*' },
  { String: 'e' },
  { type: 'NFKD' },
  {
    type: 'Replace',
    pattern: { String: 'a' },
    content: 'a'.repeat(32),
  },
  {
    type: 'Prepend',
    prepend: 'é',
  },
];

/** The shapes of models with few merges, so that thousands of them are read in seconds. */
const SMALL: readonly string[] = Object.values(SHAPES).map((shape) => {
  const small = structuredClone(shape) as unknown as {
    model: { type: string; vocab: Record<string, number>; merges?: string[] };
  };
  const { model } = small;
  if (model.type !== 'BPE' || model.merges === undefined || model.merges.length < 1000) return JSON.stringify(small);
  model.merges = model.merges.slice(-12);
  const kept = [...BYTE_TO_CHARACTER, ...model.merges.map((merge) => merge.replace(' ', ''))];
  model.vocab = Object.fromEntries(kept.map((text) => [text, model.vocab[text]]));
  return JSON.stringify(small);
});

/** A random place in a tree: the container and the key in it. Large containers are not gone through. */
function place(random: () => number, root: Json): { container: Json[] | { [key: string]: Json }; key: string } {
  let container = root as Json[] | { [key: string]: Json };
  for (;;) {
    const keys = Object.keys(container);
    const key = pick(random, keys.length > 0 ? keys : ['x']);
    const child = (container as Record<string, Json>)[key];
    if (typeof child !== 'object' || child === null || random() < 0.25) return { container, key };
    container = child;
  }
}

function mutateJson(random: () => number, text: string): string {
  if (random() < 0.1) return text.slice(0, Math.floor(random() * text.length));
  if (random() < 0.1) {
    const at = Math.floor(random() * text.length);
    return text.slice(0, at) + pick(random, ['"', '{', ']', ',', '9', '\\', 'e', '\u0000']) + text.slice(at + 1);
  }
  const root = JSON.parse(text) as Json;
  for (let edits = 1 + Math.floor(random() * 3); edits > 0; edits--) {
    const { container, key } = place(random, root);
    const fields = container as Record<string, Json>;
    const kind = random();
    if (kind < 0.6) fields[key] = structuredClone(pick(random, ODD));
    else if (kind < 0.75) {
      if (Array.isArray(container)) container.splice(Number(key), 1);
      else delete container[key];
    } else if (kind < 0.9) {
      const other = place(random, root);
      fields[key] = structuredClone((other.container as Record<string, Json>)[other.key] ?? null);
    } else fields[key] = structuredClone(Array.from({ length: 3 }, () => fields[key] ?? null));
  }
  return JSON.stringify(root);
}

/** What an engine relies on, whatever the file was: ids in range, no control token out of plain text, and decoding that ends. */
function expectSound(tokenizer: Tokenizer, text: string): void {
  for (const special of [false, true]) {
    for (const id of tokenizer.encode(text, { special })) {
      if (!(Number.isInteger(id) && id >= 0 && id < tokenizer.vocabSize))
        throw new Error(`id ${id} of ${tokenizer.vocabSize}`);
    }
  }
  const plain = tokenizer.encode(text, { bos: false });
  expect(typeof tokenizer.decode(plain)).toBe('string');
  // Of all control tokens only the one for what is unknown comes out of plain text.
  expect(new Set(plain.filter((id) => tokenizer.isSpecial(id))).size).toBeLessThanOrEqual(1);
  for (const id of tokenizer.stopTokens) expect(id).toBeLessThan(tokenizer.vocabSize);
}

function tryAll(count: number, seed: number, attempt: (random: () => number, text: string) => void): void {
  const random = seeded(seed);
  const held = process.memoryUsage().arrayBuffers;
  let refused = 0;
  for (let i = 0; i < count; i++) {
    try {
      attempt(random, pick(random, TEXTS) + pick(random, TEXTS));
    } catch (error) {
      if (!(error instanceof InvalidFileError || error instanceof UnsupportedModelError)) throw error;
      expect(error.message.length).toBeLessThan(1000);
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(count / 10);
  expect(refused).toBeLessThan(count);
  expect(process.memoryUsage().arrayBuffers - held).toBeLessThan(256 << 20);
}

it(`of ${JSON_FILES} mutated tokenizer.json files each is either sound or refused by a typed error`, () => {
  const config = JSON.stringify({
    bos_token: '<bos>',
    eos_token: { content: '<|end|>' },
    add_bos_token: true,
    chat_template: 'x',
  });
  const generation = JSON.stringify({ eos_token_id: [1, 2], bos_token_id: 0 });
  tryAll(JSON_FILES, 21, (random, text) => {
    const which = random();
    const files = {
      tokenizerJson: pick(random, SMALL),
      tokenizerConfig: which < 0.1 ? mutateJson(random, config) : config,
      generationConfig: which > 0.9 ? mutateJson(random, generation) : generation,
    };
    if (which >= 0.1 && which <= 0.9) files.tokenizerJson = mutateJson(random, files.tokenizerJson);
    expectSound(createTokenizerFromJson(files), text);
  });
}, 60_000);

const bytesOf = (...bytes: number[]): GgufValue => ({
  type: 'array',
  value: { itemType: 'u8', items: Uint8Array.from(bytes) },
});
const string = (value: string): GgufValue => ({ type: 'string', value });

function sources(): readonly GgufMetadata[] {
  const spm = spmGguf(['a', 'b', '▁a', 'ab', 'he', '▁▁']);
  const of = (kind: string, more: readonly (readonly [string, GgufValue])[] = []) => ({
    metadata: new Map([...spm.metadata, ['tokenizer.ggml.model', string(kind)] as const, ...more]),
  });
  return [
    spm,
    bpeGguf(['H e', 'l l', 'Ġ a', 'a b']),
    bpeGguf(['a b', 'ab a'], { 'tokenizer.ggml.pre': 'gpt-4o' }),
    of('t5', [['tokenizer.ggml.precompiled_charsmap', bytesOf(8, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 97, 0)]]),
    of('bert'),
    of('gemma4', [['tokenizer.ggml.merges', { type: 'array', value: { itemType: 'string', items: ['a b', '▁ a'] } }]]),
  ];
}

const ODD_VALUES: readonly GgufValue[] = [
  string(''),
  string('llama'),
  string('bert'),
  string('martian'),
  string('x'.repeat(9000)),
  ...[0, 1, 300, 2 ** 31, 2 ** 32 - 1].map((value) => ({ type: 'u32', value }) as const),
  ...[-1, Number.NaN, Number.POSITIVE_INFINITY, 1e9].map((value) => ({ type: 'f32', value }) as const),
  ...[true, false].map((value) => ({ type: 'bool', value }) as const),
  { type: 'u64', value: 2n ** 60n },
  { type: 'array', value: { itemType: 'string', items: [] } },
  { type: 'array', value: { itemType: 'string', items: ['a', 'a', ''] } },
  { type: 'array', value: { itemType: 'f32', items: Float32Array.of(Number.NaN, 1) } },
  bytesOf(0, 0, 0, 0),
  bytesOf(255, 255, 255, 255, 1),
];

function mutateValue(random: () => number, value: GgufValue): GgufValue {
  if (value.type !== 'array' || random() < 0.4) return pick(random, ODD_VALUES);
  const array = value.value;
  const at = Math.floor(random() * Math.max(1, array.items.length));
  if (array.itemType === 'string') {
    const items = [...array.items];
    if (random() < 0.3) items.splice(at, 1 + Math.floor(random() * 3));
    else
      items[at] = pick(random, ['', 'a', 'a b', '<s>', '</s>', '\ud800', 'é', '▁', 'x'.repeat(5000), '<0x41>', '  ']);
    return { type: 'array', value: { itemType: 'string', items } };
  }
  if (array.itemType === 'f32' || array.itemType === 'u8') {
    const items = array.items.slice();
    items[at] = pick(random, [0, 1, 2, 3, 4, 5, 6, 7, 8, 255, -1e30, Number.NaN]);
    const cut = random() < 0.2 ? items.slice(0, at) : items;
    return { type: 'array', value: { itemType: array.itemType, items: cut } };
  }
  return pick(random, ODD_VALUES);
}

it(`of ${GGUF_FILES} mutated sets of tokenizer metadata each is either sound or refused by a typed error`, () => {
  const given = sources();
  tryAll(GGUF_FILES, 22, (random, text) => {
    const values = new Map(pick(random, given).metadata);
    for (let edits = 1 + Math.floor(random() * 2); edits > 0; edits--) {
      const key = pick(random, [...values.keys()]);
      const value = values.get(key);
      if (!value || random() < 0.15) values.delete(key);
      else values.set(key, mutateValue(random, value));
    }
    expectSound(createTokenizer({ metadata: values }), text);
  });
}, 60_000);

it('keeps time and memory within bounds when a file asks for neither', () => {
  const { gpt2, gemma } = SHAPES;
  const long = 'a'.repeat(20_000);
  const encode = (json: object) => createTokenizerFromJson({ tokenizerJson: JSON.stringify(json) }).encode(long);
  const grow = { type: 'Replace', pattern: { String: 'a' }, content: 'a'.repeat(32) };
  expect(() =>
    encode({ ...gemma, normalizer: { type: 'Sequence', normalizers: Array.from({ length: 8 }, () => grow) } }),
  ).toThrow(/makes \d+ characters/);
  const bytes = { type: 'ByteLevel', add_prefix_space: false, use_regex: false };
  const latin = { type: 'Replace', pattern: { String: 'a' }, content: 'é' };
  const doubling = { type: 'Sequence', pretokenizers: Array.from({ length: 30 }, () => bytes) };
  expect(() => encode({ ...gpt2, normalizer: latin, pre_tokenizer: doubling })).toThrow(/makes \d+ characters/);
  const nested = JSON.stringify(gpt2).replace(
    '"normalizer":null',
    `"normalizer":${'{"type":"Sequence","normalizers":['.repeat(50_000)}`,
  );
  expect(() => createTokenizerFromJson({ tokenizerJson: nested })).toThrow(InvalidFileError);
  const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`;
  expect(() => createTokenizerFromJson({ tokenizerJson: `{"model":${deep}}` })).toThrow(InvalidFileError);
  // Control tokens of all lengths, and a text that begins them all.
  const runs = Array.from({ length: 1000 }, (_, i) => `${'a'.repeat(i + 1)}!`);
  const many = spmGguf(runs, undefined, {
    'tokenizer.ggml.token_type': [2, 3, 3, 3, 3, ...Array<number>(256).fill(6), 1, ...runs.map(() => 3)],
  });
  expect(createTokenizer(many).encode(long, { special: true }).length).toBeGreaterThan(1);
}, 60_000);
