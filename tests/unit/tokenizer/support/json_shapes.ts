import { readFileSync } from 'node:fs';
import { BYTE_TO_CHARACTER } from '../../../../src/tokenizer/byte_level';

const folder = new URL('../../../fixtures/tokenizers/', import.meta.url);
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'));

const added = (id: number, content: string, more: object = {}) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
  ...more,
});
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
const split = (pattern: string) => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
});
const sequence = (...pretokenizers: object[]) => ({ type: 'Sequence', pretokenizers });

export const TEXTS = (read('raw_pairs') as { texts: string[] }).texts;

/** Byte-level BPE over all bytes and some pairs, with special tokens and a token that a user added. */
function bytePairs(preTokenizer: object | null, more: object = {}): object {
  const pairs = Array.from({ length: 6000 }, (_, i) => (i * 40_503) % 65_536);
  const merges = [
    ...pairs.map((pair) => `${BYTE_TO_CHARACTER[pair >> 8]} ${BYTE_TO_CHARACTER[pair & 255]}`),
    'H e',
    'l l',
    'He ll',
    'Hell o',
    'Ġ a',
    'Ġ b',
    'Ġ W',
    'o r',
    'Ġ Ġ',
    'i n',
    '1 2',
    '3 4',
  ];
  const texts = new Set([...BYTE_TO_CHARACTER, ...merges.map((merge) => merge.replace(' ', ''))]);
  const vocab = Object.fromEntries([...texts].map((text, id) => [text, id]));
  const size = texts.size;
  return {
    added_tokens: [added(size, '<|end|>'), added(size + 1, 'WORLD', { special: false, normalized: true })],
    normalizer: null,
    pre_tokenizer: preTokenizer,
    post_processor: null,
    decoder: byteLevel,
    model: { type: 'BPE', vocab, merges: [...new Set(merges)], unk_token: null },
    ...more,
  };
}

/** BPE over characters with tokens of single bytes, as converted from SentencePiece. */
function characterPairs(more: object): object {
  const { tokens, types, merges } = read('raw_pairs') as { tokens: string[]; types: number[]; merges: string[] };
  return {
    added_tokens: tokens.flatMap((content, id) =>
      types[id] === 3 || types[id] === 2
        ? [added(id, content)]
        : types[id] === 4
          ? [added(id, content, { special: false })]
          : [],
    ),
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(tokens.map((text, id) => [text, id])),
      merges: merges.map((merge) => merge.split(' ')),
      unk_token: '<unk>',
      byte_fallback: true,
      fuse_unk: true,
      ignore_merges: false,
    },
    ...more,
  };
}

function wordPiece(more: object): object {
  const { tokens } = read('word_piece') as { tokens: string[] };
  const vocab = Object.fromEntries(
    tokens.map((text, id) => [id < 5 ? text : text.startsWith('▁') ? text.slice(1) : `##${text}`, id]),
  );
  return {
    added_tokens: tokens.slice(0, 5).map((content, id) => added(id, content)),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', sep: ['[SEP]', 3], cls: ['[CLS]', 2] },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      vocab,
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
    },
    ...more,
  };
}

function unigram(more: object): object {
  const { tokens, scores, charsMap } = read('unigram') as { tokens: string[]; scores: number[]; charsMap: string };
  return {
    added_tokens: [
      ...[0, 1, 2].map((id) => added(id, tokens[id])),
      added(tokens.length - 2, '[USER]', { special: false }),
      added(tokens.length - 1, '<extra_id_0>'),
    ],
    normalizer: { type: 'Precompiled', precompiled_charsmap: charsMap },
    pre_tokenizer: sequence(
      { type: 'WhitespaceSplit' },
      { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' },
    ),
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }],
      pair: [],
      special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
    },
    decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
    model: { type: 'Unigram', unk_id: 2, vocab: tokens.map((text, id) => [text, scores[id]]), byte_fallback: false },
    ...more,
  };
}

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const LLAMA3 = String.raw`${CONTRACTIONS}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const UPPER = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const LOWER = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const GPT_4O = [
  String.raw`[^\r\n\p{L}\p{N}]?${UPPER}*${LOWER}+${CONTRACTIONS}?`,
  String.raw`[^\r\n\p{L}\p{N}]?${UPPER}+${LOWER}*${CONTRACTIONS}?`,
  String.raw`\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
].join('|');

const bos = {
  type: 'TemplateProcessing',
  single: [{ SpecialToken: { id: '<bos>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
  pair: [],
  special_tokens: { '<bos>': { id: '<bos>', ids: [2], tokens: ['<bos>'] } },
};

/** Small tokenizer.json files in the shapes that models have. */
export const SHAPES = {
  gpt2: bytePairs({ ...byteLevel, use_regex: true }),
  roberta: bytePairs({ ...byteLevel, use_regex: true, add_prefix_space: true }),
  llama3: bytePairs(sequence(split(LLAMA3), byteLevel), { normalizer: { type: 'NFC' } }),
  'gpt-4o': bytePairs(sequence({ ...split(GPT_4O), behavior: 'Removed', invert: true }, byteLevel)),
  starcoder: bytePairs(sequence({ type: 'Digits', individual_digits: true }, { ...byteLevel, use_regex: true })),
  falcon: bytePairs(
    sequence(
      { type: 'Punctuation', behavior: 'Contiguous' },
      { ...byteLevel, use_regex: true },
      { type: 'Digits', individual_digits: false },
      split('[0-9][0-9][0-9]'),
    ),
  ),
  'deepseek-v3': bytePairs(
    sequence(
      split(String.raw`\p{N}{1,3}`),
      split('[一-龥\u3040-ゟ゠-ヿ]+'),
      split(
        String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_${'`'}{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`.replaceAll(
          String.raw`\r\n`,
          '\r\n',
        ),
      ),
      byteLevel,
    ),
  ),
  llama2: characterPairs({
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: bos,
  }),
  mistral: characterPairs({
    normalizer: null,
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false },
    post_processor: bos,
  }),
  gemma: characterPairs({
    normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
      ],
    },
    post_processor: bos,
  }),
  bert: wordPiece({}),
  'bert-cased': wordPiece({
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: false,
      lowercase: false,
    },
  }),
  t5: unigram({}),
  'xlm-roberta': unigram({ normalizer: null }),
} satisfies Record<string, object>;
