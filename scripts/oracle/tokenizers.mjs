import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { getLlama } from 'node-llama-cpp';
import { writeCharsMap } from './charsmap.mjs';
import { integers, writeGguf } from './gguf.mjs';
import { seeded } from './model.mjs';

/*
 * Makes the fixtures in tests/fixtures/tokenizers: texts that are hard to cut, and what llama.cpp makes of them. Where a file has no
 * vocabulary, it is the one of all pairs of bytes that `pairVocabulary` makes here and in the tests.
 */
const OUT = fileURLToPath(new URL('../../tests/fixtures/tokenizers/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tokenizers-'));
const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: 'disabled' });
const SEED = 20261121;
let random = seeded(SEED);
const pick = (items) => items[Math.floor(random() * items.length)];

const ALPHABET = [
  ...Array.from('ab Z09\'s\t\n\r.,-+$~`"´éßŽǅʰאα中한ひ𝒳😀«‘”…—·!/\\([{}<=^|_&%#@*?;:'),
  '\u0085',
  '\u00a0',
  '\ufeff',
  '\u0301',
  '\u200b',
  '\u200d',
  '\u2028',
  '\u3000',
  '\u0940',
  '\u0e31',
  '\u0378',
  '\ue000',
  '٣',
  '½',
  'Ⅷ',
  '１２',
  'ſ',
  'İ',
  "'S",
  "'LL",
  "'re",
  "n't",
  '  ',
  '   ',
  '\n\n',
  '\r\n',
  ' \n',
  '123',
  '4567',
  '①',
  'Hello',
  'WORLD',
  'World',
  'привет',
  'ПРИВЕТ',
  'Привет',
  'العربية',
  'हिन्दी',
  'ไทย',
  '漢字',
  'カナ',
  'ㄅㄆ',
  '한국어',
  ...['👩‍👩‍👧', '🇩🇪', 'ﬁ', '\u{10400}', '€', '©', 'É', 'e\u0301', '\u0000'].slice(0, -1),
];
const HAND = [
  "I'm we'LL They'Ve 'sup ''s 'S's d'être l'été",
  'x = 1234567 + 89.01e-5;\n\n\n\n# end  \n\ty',
  '  leading   and trailing  ',
  '\n\n\n a \n\t b\r\n\r\nc',
  'HelloWorldFOOBar fooBAR XMLHttpRequest',
  'ПриветМИР УкраїнаЗаГору ǅǅ ʰʰ',
  'a\u0301b\u0301 हिन्दी भाषा ไทยภาษา',
  '中文字符，標點。123中 カナかな',
  '1 22 333 4444 55555 ٣٤٥ ½¾',
  '!!! ... --- /// ///\n\n ~~~ ``` ^^^ $$$ +++ <<<',
  ' ~a ~ a $b $ b +c a/b//\nd',
  '\u00a0a \u00a0\u00a0 b\u3000c\u2028d\u0085e \u2028 \u3000。',
  'x \n',
  ' ',
];
const text = (length) => Array.from({ length: 1 + Math.floor(random() * length) }, () => pick(ALPHABET)).join('');
const TEXTS = [...HAND, ...Array.from({ length: 34 }, () => text(24))];

const alphabetOfBytes = () => {
  let next = 0x100;
  const isPrintable = (byte) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
};

/** Two bytes that are next to each other in a word always may merge: a cut that is elsewhere changes tokens. */
function pairVocabulary(whole) {
  const bytes = alphabetOfBytes();
  const merges = [];
  // A multiplier that is prime to 65536 goes through all pairs in an order without a pattern.
  for (let i = 0; i < 65536; i++) {
    const pair = (i * 40503) % 65536;
    merges.push(`${bytes[pair >> 8]} ${bytes[pair & 255]}`);
  }
  const tokens = [...bytes, ...merges.map((merge) => merge.replace(' ', '')), ...whole];
  return { tokens, merges };
}

async function load(metadata) {
  const path = join(folder, 'vocabulary.gguf');
  writeFileSync(path, writeGguf({ 'general.architecture': 'llama', ...metadata }, {}));
  return llama.loadModel({ modelPath: path, vocabOnly: true });
}

const encode = (model, written, special = false) => Array.from(model._model.tokenize(written, special));

async function preTokenizers(names) {
  const whole = ['Hello', 'ĠHello', 'World', 'Ċab'];
  const { tokens, merges } = pairVocabulary(whole);
  const groups = [];
  for (const name of names) {
    const model = await load({
      'tokenizer.ggml.model': 'gpt2',
      'tokenizer.ggml.pre': name,
      'tokenizer.ggml.tokens': tokens,
      'tokenizer.ggml.token_type': integers(tokens.map(() => 1)),
      'tokenizer.ggml.merges': merges,
      'tokenizer.ggml.bos_token_id': 0,
      'tokenizer.ggml.eos_token_id': 1,
    });
    // A token's length in bytes is all that is not known: one digit each.
    const lengths = TEXTS.map((written) =>
      encode(model, written)
        .map((id) => tokens[id].length)
        .join(''),
    );
    const addsBos = model._model.shouldPrependBosToken();
    const same = groups.find((group) => group.addsBos === addsBos && group.lengths.join() === lengths.join());
    if (same) same.names.push(name);
    else groups.push({ names: [name], addsBos, lengths });
    await model.dispose();
  }
  return { whole, texts: TEXTS, groups };
}

const LETTERS = Array.from("abcdefghilmnorstuwyABCHW0123.,!?'éß中か");
const word = (from, length) => Array.from({ length: 1 + Math.floor(random() * length) }, () => pick(from)).join('');

async function unigram() {
  const pieces = new Set(['▁', ...LETTERS, 'hello', '▁Hello', 'World', '▁the', 'ing', '▁▁', '中文']);
  while (pieces.size < 420) pieces.add((random() < 0.4 ? '▁' : '') + word([...LETTERS, '▁'], 5));
  const names = [...pieces];
  const vocabulary = {
    tokens: ['<pad>', '</s>', '<unk>', ...names, '[USER]', '<extra_id_0>'],
    types: [3, 3, 2, ...names.map(() => 1), 4, 3],
    scores: [0, 0, 0, ...names.map((piece) => -1 - Math.floor(random() * 12) / 2 - 3 / piece.length), 0, 0],
  };
  const charsMap = writeCharsMap([
    ...['\u00a0', '\t', '\n', '\r', '\u3000', '\u2028'].map((space) => [space, ' ']),
    ['ﬁ', 'fi'],
    ['e\u0301', 'é'],
    ['１', '1'],
    ['\u200b', ''],
    ['ſ', 's'],
    ['…', '...'],
    ['ab', 'AB'],
    ['abc', 'bca'],
    ['½', '1/2'],
  ]);
  const texts = [
    'Hello the World',
    '  the   hello ing  ',
    'abcabab ﬁne ½ … e\u0301',
    '[USER]hello[USER] the<extra_id_0>',
    ' ',
    '中文か中文ー',
    ...Array.from({ length: 30 }, () => word([...ALPHABET, ...names.slice(0, 60), ' ', ' ', '[USER]'], 24)),
  ];
  const cases = [];
  for (const [spacePrefix, mergesSpaces, mapped] of [
    [true, true, true],
    [true, false, false],
    [false, true, false],
    [false, false, true],
  ]) {
    const model = await load({
      'tokenizer.ggml.model': 't5',
      'tokenizer.ggml.pre': 'default',
      'tokenizer.ggml.tokens': vocabulary.tokens,
      'tokenizer.ggml.token_type': integers(vocabulary.types),
      'tokenizer.ggml.scores': { type: 'array', itemType: 'f32', value: vocabulary.scores },
      'tokenizer.ggml.unknown_token_id': 2,
      'tokenizer.ggml.eos_token_id': 1,
      'tokenizer.ggml.add_space_prefix': spacePrefix,
      'tokenizer.ggml.remove_extra_whitespaces': mergesSpaces,
      ...(mapped && { 'tokenizer.ggml.precompiled_charsmap': { type: 'array', itemType: 'u8', value: [...charsMap] } }),
    });
    cases.push({ spacePrefix, mergesSpaces, mapped, ids: texts.map((written) => encode(model, written)) });
    await model.dispose();
  }
  return { ...vocabulary, charsMap: charsMap.toString('base64'), texts, cases };
}

async function wordPiece() {
  const pieces = new Set([
    '▁!',
    '▁,',
    '▁中',
    '▁文',
    '▁漢',
    '▁字',
    '▁$',
    '▁~',
    '▁«',
    '▁a',
    'a',
    '▁e',
    'e',
    '▁е',
    'е',
    '▁ᄒ',
    'α',
    '▁α',
    '▁ss',
    '▁hello',
    'world',
  ]);
  while (pieces.size < 240) pieces.add((random() < 0.5 ? '▁' : '') + word(Array.from('abehllorstuwyzинпрвт0123'), 3));
  const tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', ...pieces];
  const texts = [
    ...TEXTS,
    'Héllo WORLD, ÉÀ',
    'ХЕЛЛО Привет',
    'a漢字b中文',
    '한국어 a',
    'ab\u0000c\u200bd a\u0301b',
    'a$b~c`d',
    '[MASK] a [SEP]',
    ...Array.from({ length: 20 }, () =>
      word([...ALPHABET, ...[...pieces].map((piece) => piece.replace('▁', ' '))], 24),
    ),
  ];
  const model = await load({
    'tokenizer.ggml.model': 'bert',
    'tokenizer.ggml.pre': 'default',
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': integers([3, 2, 3, 3, 3, ...[...pieces].map(() => 1)]),
    'tokenizer.ggml.bos_token_id': 2,
    'tokenizer.ggml.unknown_token_id': 1,
    'tokenizer.ggml.seperator_token_id': 3,
    'tokenizer.ggml.padding_token_id': 0,
    'tokenizer.ggml.mask_token_id': 4,
  });
  const ids = texts.map((written) => encode(model, written));
  const special = texts.map((written) => encode(model, written, true));
  await model.dispose();
  return { tokens, texts, ids, special };
}

/** Gemma 4: merges over characters, with spaces as `▁`. */
async function rawPairs() {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const pieces = new Set(['▁', '\t', ...LETTERS]);
  const merges = new Set();
  while (merges.size < 500) {
    const [left, right] = [pick([...pieces]), pick([...pieces])];
    if (left.length + right.length > 6) continue;
    merges.add(`${left} ${right}`);
    pieces.add(left + right);
  }
  const tokens = ['<pad>', '<eos>', '<bos>', '<unk>', '</s>', '<|tool_response>', '\n', '\n\n', ...bytes, ...pieces];
  const types = [3, 3, 3, 2, 4, 3, 1, 1, ...bytes.map(() => 6), ...[...pieces].map(() => 1)];
  const texts = [
    ...TEXTS,
    ...Array.from({ length: 20 }, () => word([...pieces, ' ', '\n', '\n\n', '</s>'], 20).replaceAll('▁', ' ')),
  ];
  const model = await load({
    'tokenizer.ggml.model': 'gemma4',
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': integers(types),
    'tokenizer.ggml.scores': { type: 'array', itemType: 'f32', value: tokens.map(() => 0) },
    'tokenizer.ggml.merges': [...merges],
    'tokenizer.ggml.bos_token_id': 2,
    'tokenizer.ggml.eos_token_id': 1,
    'tokenizer.ggml.unknown_token_id': 3,
  });
  const ids = texts.map((written) => encode(model, written));
  const ends = tokens.map((_, id) => id).filter((id) => model._model.isEogToken(id));
  await model.dispose();
  return { tokens, types, merges: [...merges], texts, ids, ends };
}

const NAMES =
  'default gpt-2 phi-2 jina-es jina-de jina-v1-en jina-v2-es jina-v2-de jina-v2-code roberta-bpe modern-bert a.x-4.0 mpt olmo jais trillion ' +
  'granite-docling exaone4 gigachat mellum llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano dbrx smaug-bpe ' +
  'chatglm-bpe glm4 qwen2 deepseek-r1-qwen stablelm2 megrez hunyuan kormo f2llmv2 solar-open grok-2 qwen35 falcon starcoder refact command-r ' +
  'smollm codeshell exaone minerva-7b mellum2 deepseek-llm deepseek-coder deepseek-v3 hunyuan-dense joyai-llm tekken gpt-4o llama4 kanana2 ' +
  'talkie minimax-m2 granite-embed-multi-97m minicpm5 laguna ufakzeka seed-coder bailingmoe bailingmoe2 llada-moe bloom gpt3-finnish ' +
  'poro-chat viking';

mkdirSync(OUT, { recursive: true });
const save = (name, value) => writeFileSync(join(OUT, `${name}.json`), `${JSON.stringify(value)}\n`);
const fixtures = {
  pre_tokenizers: () => preTokenizers(NAMES.split(' ')),
  unigram,
  word_piece: wordPiece,
  raw_pairs: rawPairs,
};
for (const name of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(fixtures)) {
  random = seeded(SEED + name.length);
  save(name, await fixtures[name]());
}
rmSync(folder, { recursive: true });
await llama.dispose();
