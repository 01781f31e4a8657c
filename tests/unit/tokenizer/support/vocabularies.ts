import type { GgufMetadata } from '../../../../src/formats/gguf/gguf';
import { BYTE_TO_CHARACTER } from '../../../../src/tokenizer/byte_level';
import { metadata } from './metadata';

type Overrides = Readonly<Record<string, string | number | boolean | readonly string[] | readonly number[]>>;

const CONTROL = ['<unk>', '<s>', '</s>', '<|im_start|>', '<|im_end|>'];
const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);

/** A SentencePiece vocabulary: the control tokens above, all bytes, the space, then `given`, the first with the best score. */
export function spmGguf(given: readonly string[], scores?: readonly number[], overrides: Overrides = {}): GgufMetadata {
  const pieces = ['▁', ...given];
  const before = CONTROL.length + BYTES.length;
  return metadata({
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.tokens': [...CONTROL, ...BYTES, ...pieces],
    'tokenizer.ggml.scores': [
      ...Array<number>(before).fill(0),
      ...(scores ? [-1e4, ...scores] : pieces.map((_, i) => -i)),
    ],
    'tokenizer.ggml.token_type': [2, 3, 3, 3, 3, ...BYTES.map(() => 6), ...pieces.map(() => 1)],
    'tokenizer.ggml.bos_token_id': 1,
    'tokenizer.ggml.eos_token_id': 2,
    'tokenizer.ggml.unknown_token_id': 0,
    ...overrides,
  });
}

/** A byte-level vocabulary: all bytes, one token per merge ("left right"), tokens that no merge makes, then control tokens. */
export function bpeGguf(
  merges: readonly string[],
  overrides: Overrides = {},
  unmerged: readonly string[] = [],
): GgufMetadata {
  const tokens = [...BYTE_TO_CHARACTER, ...merges.map((merge) => merge.replace(' ', '')), ...unmerged];
  return metadata({
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'gpt-2',
    'tokenizer.ggml.tokens': [...tokens, '<|endoftext|>', '<|im_start|>', '<|im_end|>'],
    'tokenizer.ggml.token_type': [...tokens.map(() => 1), 3, 3, 3],
    'tokenizer.ggml.merges': merges,
    'tokenizer.ggml.eos_token_id': tokens.length + 2,
    ...overrides,
  });
}
