import {
  type GgufMetadata,
  getStringArray,
  optionalBool,
  optionalNumber,
  optionalNumberArray,
  optionalString,
} from '../formats/gguf/gguf';
import { checkLength, checkTokens, endOfGeneration, invalid, TokenType, type Vocabulary } from './vocabulary';

const TOKENS = 'tokenizer.ggml.tokens';
const TOKEN_TYPE = 'tokenizer.ggml.token_type';

/** What a kind of tokenizer takes for granted where the file says nothing; the ids count only if they are control tokens. */
export interface VocabularyDefaults {
  readonly bos?: number;
  readonly eos?: number;
  readonly unknown?: number;
  readonly separator?: number;
  readonly addsBos: boolean;
  /** Whether BOS goes first whatever the file says: Gemma 4's first files said no, and llama.cpp does not believe them. */
  readonly insistsOnBos?: boolean;
  readonly addsEos: boolean;
  /** [CLS] and [SEP] around every text, whatever the file says (llama.cpp's WordPiece). */
  readonly wrapsInSeparator: boolean;
}

/** @throws InvalidFileError that names the key, when lists have different lengths or an id is out of range. */
export function readVocabulary(gguf: GgufMetadata, defaults: VocabularyDefaults): Vocabulary {
  const tokens = getStringArray(gguf, TOKENS);
  if (tokens.length === 0) throw invalid(TOKENS, 'the list is empty');
  checkTokens(tokens, `metadata key "${TOKENS}"`);
  const types = readTypes(gguf, tokens.length);
  const ids = new Map<string, number>();
  tokens.forEach((text, id) => {
    if (ids.has(text))
      throw invalid(TOKENS, `${JSON.stringify(text.slice(0, 50))} is both token ${ids.get(text)} and ${id}`);
    if (text !== '') ids.set(text, id);
  });

  const idAt = (name: string, fallback?: number) => {
    const id = readId(gguf, `tokenizer.ggml.${name}_token_id`, tokens.length);
    if (id !== undefined || fallback === undefined || gguf.metadata.has(`tokenizer.ggml.${name}_token_id`)) return id;
    return types[fallback] === TokenType.control || types[fallback] === TokenType.unknown ? fallback : undefined;
  };
  const bos = idAt('bos') ?? idAt('cls', defaults.bos);
  const eos = idAt('eos', defaults.eos);
  const eot = idAt('eot');
  const eom = idAt('eom');
  // The key's spelling is the format's.
  const separator = idAt('seperator', defaults.separator) ?? eos;

  const addsBos =
    defaults.wrapsInSeparator ||
    defaults.insistsOnBos ||
    (optionalBool(gguf, 'tokenizer.ggml.add_bos_token') ?? defaults.addsBos);
  const addsEos = optionalBool(gguf, 'tokenizer.ggml.add_eos_token') ?? defaults.addsEos;
  const last = defaults.wrapsInSeparator ? separator : addsEos ? eos : undefined;
  return {
    tokens,
    types,
    ids,
    bos,
    eos,
    eot,
    eom,
    unknown: idAt('unknown', defaults.unknown),
    prefix: addsBos && bos !== undefined ? [bos] : [],
    suffix: last === undefined ? [] : [last],
    ...endOfGeneration(ids, types, { eos, eot, eom }),
  };
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

function readId(gguf: GgufMetadata, key: string, count: number): number | undefined {
  const id = optionalNumber(gguf, key);
  // Converters write 2^32 - 1 (that is -1) for "none".
  if (id === undefined || id === 0xffffffff || id === -1) return undefined;
  if (!Number.isInteger(id) || id < 0 || id >= count) throw invalid(key, `${id} is no id of ${count} tokens`);
  return id;
}

/** Tokens that swallow the white space beside them, by id; files do not say so, and llama.cpp goes by names. */
export function strippingTokens(
  gguf: GgufMetadata,
  { tokens, types, ids }: Vocabulary,
): { left: ReadonlySet<number>; right: ReadonlySet<number> } {
  const left = new Set<number>();
  const right = new Set<number>();
  const name = optionalString(gguf, 'general.name')?.toLowerCase() ?? '';
  const architecture = optionalString(gguf, 'general.architecture') ?? '';
  const pre = optionalString(gguf, 'tokenizer.ggml.pre') ?? '';
  const addLeft = (text: string) => {
    const id = ids.get(text);
    if (id !== undefined) left.add(id);
  };
  if (/jina-v2-(de|es|code)/.test(pre) || /nomic-bert-moe|jina-bert-v3/.test(architecture)) addLeft('<mask>');
  else if (/phi-?3/.test(name)) {
    tokens.forEach((text, id) => {
      const isSpecial = types[id] === TokenType.control || types[id] === TokenType.userDefined;
      if (isSpecial && !['<unk>', '<s>', '<|endoftext|>'].includes(text)) right.add(id);
    });
  } else if (name.includes('modern-bert')) addLeft('[MASK]');
  return { left, right };
}
