import { InvalidFileError } from '../errors';
import {
  type GgufMetadata,
  getStringArray,
  optionalBool,
  optionalNumber,
  optionalNumberArray,
  optionalString,
} from '../formats/gguf/gguf';

/** Values of `tokenizer.ggml.token_type`. */
export const TokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

const TOKENS = 'tokenizer.ggml.tokens';
const TOKEN_TYPE = 'tokenizer.ggml.token_type';

/** Texts of tokens that end a turn or a generation, whatever else the file says of them; the list follows llama.cpp's. */
const END_OF_GENERATION: ReadonlySet<string> = new Set([
  '<|eot_id|>',
  '<|eom_id|>',
  '<|im_end|>',
  '<|end|>',
  '<|return|>',
  '<|call|>',
  '<|flush|>',
  '<|calls|>',
  '<end_of_turn>',
  '<turn|>',
  '<|endoftext|>',
  '<|end_of_text|>',
  '<end_of_utterance>',
  '<EOT>',
  '_<EOT>',
  '[EOT]',
  '[EOS]',
  '</s>',
  '<｜end▁of▁sentence｜>',
]);

/** The tokens of a model, as its file lists them. */
export interface Vocabulary {
  readonly tokens: readonly string[];
  /** One of `TokenType` per token. */
  readonly types: Uint8Array;
  /** By text; of tokens with the same text, the last. */
  readonly ids: ReadonlyMap<string, number>;
  readonly bos?: number;
  readonly eos?: number;
  readonly eot?: number;
  readonly eom?: number;
  readonly unknown?: number;
  /** What the file says; undefined leaves it to the kind of tokenizer. */
  readonly addBos?: boolean;
  readonly addEos?: boolean;
  readonly stopTokens: ReadonlySet<number>;
  /** Tokens that swallow the white space after them in the text. */
  readonly stripsRight: ReadonlySet<number>;
}

/** @throws InvalidFileError that names the key, when lists have different lengths or an id is out of range. */
export function readVocabulary(gguf: GgufMetadata): Vocabulary {
  const tokens = getStringArray(gguf, TOKENS);
  if (tokens.length === 0) throw invalid(TOKENS, 'the list is empty');
  const types = readTypes(gguf, tokens.length);
  const ids = new Map<string, number>();
  for (let id = 0; id < tokens.length; id++) if (tokens[id] !== '') ids.set(tokens[id], id);

  const idAt = (key: string) => readId(gguf, key, tokens.length);
  const bos = idAt('tokenizer.ggml.bos_token_id');
  const eos = idAt('tokenizer.ggml.eos_token_id');
  const eot = idAt('tokenizer.ggml.eot_token_id');
  const eom = idAt('tokenizer.ggml.eom_token_id');
  const stopTokens = new Set<number>();
  for (const text of END_OF_GENERATION) {
    const id = ids.get(text);
    // Some converters write such a token as an ordinary one: then it would show up in answers.
    if (id !== undefined) {
      stopTokens.add(id);
      types[id] = TokenType.control;
    }
  }
  const end = ids.get('<|end|>');
  // gpt-oss: <|end|> only closes a channel of the same answer.
  if (end !== undefined && ids.has('<|return|>') && ids.has('<|call|>')) stopTokens.delete(end);
  for (const id of [eos, eot, eom]) if (id !== undefined) stopTokens.add(id);

  return {
    tokens,
    types,
    ids,
    bos,
    eos,
    eot,
    eom,
    unknown: idAt('tokenizer.ggml.unknown_token_id'),
    addBos: optionalBool(gguf, 'tokenizer.ggml.add_bos_token'),
    addEos: optionalBool(gguf, 'tokenizer.ggml.add_eos_token'),
    stopTokens,
    stripsRight: tokensThatStripRight(gguf, tokens, types),
  };
}

export function invalid(key: string, problem: string): InvalidFileError {
  return new InvalidFileError(`metadata key "${key}": ${problem}`, { details: { key } });
}

function readTypes(gguf: GgufMetadata, count: number): Uint8Array {
  const items = optionalNumberArray(gguf, TOKEN_TYPE);
  if (!items) return new Uint8Array(count).fill(TokenType.normal);
  checkLength(TOKEN_TYPE, items.length, count);
  return Uint8Array.from(items, (type, id) => {
    if (!Number.isInteger(type) || type < 0 || type > TokenType.byte)
      throw invalid(TOKEN_TYPE, `token ${id} has type ${type}`);
    return type === 0 ? TokenType.normal : type;
  });
}

export function checkLength(key: string, found: number, tokens: number): void {
  if (found !== tokens) throw invalid(key, `${found} items for ${tokens} tokens`);
}

function readId(gguf: GgufMetadata, key: string, count: number): number | undefined {
  const id = optionalNumber(gguf, key);
  // Converters write 2^32 - 1 (that is -1) for "none".
  if (id === undefined || id === 0xffffffff || id === -1) return undefined;
  if (!Number.isInteger(id) || id < 0 || id >= count) throw invalid(key, `${id} is no id of ${count} tokens`);
  return id;
}

/** Phi-3's special tokens swallow the white space after them; its files do not say so, and llama.cpp goes by the model's name. */
function tokensThatStripRight(gguf: GgufMetadata, tokens: readonly string[], types: Uint8Array): ReadonlySet<number> {
  const result = new Set<number>();
  const name = optionalString(gguf, 'general.name')?.toLowerCase() ?? '';
  if (!/phi-?3/.test(name)) return result;
  tokens.forEach((text, id) => {
    const isSpecial = types[id] === TokenType.control || types[id] === TokenType.userDefined;
    if (isSpecial && !['<unk>', '<s>', '<|endoftext|>'].includes(text)) result.add(id);
  });
  return result;
}
