/** Metadata and prompts of models for embeddings: a vocabulary of word pieces, prompts between their first and last token. */
import { VOCAB_SIZE } from './model.mjs';

const CLS = 2;
const SEP = 3;
const FIRST_WORD = 5;

export function pieces() {
  const letters = Array.from({ length: 26 }, (_, i) => String.fromCharCode(97 + i));
  const tokens = [
    '[PAD]',
    '[UNK]',
    '[CLS]',
    '[SEP]',
    '[MASK]',
    ...letters.map((letter) => `\u2581${letter}`),
    ...letters,
  ];
  for (const a of letters) for (const b of letters) if (tokens.length < VOCAB_SIZE) tokens.push(`\u2581${a}${b}`);
  return {
    'tokenizer.ggml.model': 'bert',
    'tokenizer.ggml.pre': 'default',
    'tokenizer.ggml.token_type_count': 2,
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': {
      type: 'array',
      itemType: 'i32',
      value: tokens.map((_, i) => (i < FIRST_WORD ? 3 : 1)),
    },
    'tokenizer.ggml.unknown_token_id': 1,
    'tokenizer.ggml.seperator_token_id': SEP,
    'tokenizer.ggml.padding_token_id': 0,
    'tokenizer.ggml.cls_token_id': CLS,
    'tokenizer.ggml.bos_token_id': CLS,
    'tokenizer.ggml.mask_token_id': 4,
  };
}

export const prompt = (length, random) => [
  CLS,
  ...Array.from({ length: length - 2 }, () => FIRST_WORD + Math.floor(random() * (VOCAB_SIZE - FIRST_WORD))),
  SEP,
];

export function encoderMetadata(architecture, name, own) {
  return {
    'general.architecture': architecture,
    'general.name': name,
    ...Object.fromEntries(Object.entries(own).map(([key, value]) => [`${architecture}.${key}`, value])),
    ...pieces(),
  };
}
