import { InvalidFileError } from '../errors';

/** Values of `tokenizer.ggml.token_type`. */
export const TokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** The tokens of a model, as its file lists them. */
export interface Vocabulary {
  readonly tokens: readonly string[];
  /** One of `TokenType` per token. */
  readonly types: Uint8Array;
  /** By text; tokens without a text are left out. */
  readonly ids: ReadonlyMap<string, number>;
  readonly bos?: number;
  readonly eos?: number;
  readonly eot?: number;
  readonly eom?: number;
  readonly unknown?: number;
  /** What the model expects before a text of its own, such as BOS or [CLS]. */
  readonly prefix: readonly number[];
  /** And after it, such as EOS or [SEP]. */
  readonly suffix: readonly number[];
  readonly stopTokens: ReadonlySet<number>;
  /** Control tokens that belong to the text of an answer: a reader is to see where its parts begin. */
  readonly shown: ReadonlySet<number>;
}

interface NamedTokens {
  readonly eos?: number;
  readonly eot?: number;
  readonly eom?: number;
}

/** Texts of tokens that end a turn or a generation, whatever else the file says of them; the list follows llama.cpp's. */
const END_OF_GENERATION: readonly string[] = [
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
  '<|tool_response>',
  '<eos>',
  '<|endoftext|>',
  '<|end_of_text|>',
  '<end_of_utterance>',
  '<EOT>',
  '_<EOT>',
  '[EOT]',
  '[EOS]',
  '[e~[',
  '</s>',
  '<｜end▁of▁sentence｜>',
];

/** Tokens of code completion after which a file has ended: of each list, the first that a vocabulary has. */
const END_OF_FILE: readonly (readonly string[])[] = [
  ['<|fim_pad|>', '<fim-pad>', '<fim_pad>', '<PAD>', '[PAD]'],
  ['<|fim_repo|>', '<|repo_name|>', '<fim-repo>', '<REPO>', '<reponame>'],
  ['<|file_sep|>'],
];

/** Marks of code completion, which some converters take for text. */
const FILL_IN: readonly string[] = [
  '<|fim_prefix|>',
  '<|fim_middle|>',
  '<|fim_suffix|>',
  '<fim-prefix>',
  '<fim-middle>',
  '<fim-suffix>',
  '<fim_prefix>',
  '<fim_middle>',
  '<fim_suffix>',
  '<｜fim▁begin｜>',
  '<｜fim▁hole｜>',
  '<｜fim▁end｜>',
  '<|code_prefix|>',
  '<|code_middle|>',
  '<|code_suffix|>',
  '<|prefix|>',
  '<|middle|>',
  '<|suffix|>',
];

/** Marks between the parts of a gpt-oss answer. */
const SHOWN: readonly string[] = ['<|channel|>', '<|message|>', '<|start|>', '<|constrain|>'];

/**
 * Tokens after which an answer has ended, by name and by text, as llama.cpp finds them. Makes them control tokens: some converters write
 * such a token as an ordinary one, and then it would show up in answers.
 */
export function endOfGeneration(
  ids: ReadonlyMap<string, number>,
  types: Uint8Array,
  { eos, eot, eom }: NamedTokens,
): Pick<Vocabulary, 'stopTokens' | 'shown'> {
  const has = (text: string) => ids.has(text);
  const stopTokens = new Set<number>();
  const files = END_OF_FILE.flatMap((texts) => texts.filter(has).slice(0, 1));
  for (const text of [...END_OF_GENERATION, ...files]) {
    const id = ids.get(text);
    if (id === undefined) continue;
    stopTokens.add(id);
    types[id] = TokenType.control;
  }
  for (const id of [eos, eot, eom]) if (id !== undefined) stopTokens.add(id);

  const shown = new Set<number>();
  for (const text of SHOWN) {
    const id = ids.get(text);
    if (id !== undefined) shown.add(id);
  }
  for (const text of [...SHOWN, ...FILL_IN]) {
    const id = ids.get(text);
    if (id !== undefined) types[id] = TokenType.control;
  }
  // gpt-oss and Solar: <|end|> only closes one part of an answer that goes on.
  const end = ids.get('<|end|>');
  const hasCall = has('<|call|>') || has('<|calls|>');
  if (end !== undefined && hasCall && (has('<|return|>') || has('<|flush|>'))) {
    stopTokens.delete(end);
    shown.add(end);
  }
  // Gemma 4 has a </s> that is an HTML tag.
  const tag = ids.get('</s>');
  if (tag !== undefined && has('<|tool_response>')) {
    stopTokens.delete(tag);
    types[tag] = TokenType.normal;
  }
  return { stopTokens, shown };
}

/** More characters than any vocabulary's longest token has; the time of a search goes by it. */
const LONGEST_TOKEN = 4096;

export function checkTokens(tokens: readonly string[], where: string): void {
  const id = tokens.findIndex((text) => text.length > LONGEST_TOKEN);
  if (id < 0) return;
  throw new InvalidFileError(`${where}: token ${id} has ${tokens[id].length} characters, more than ${LONGEST_TOKEN}`, {
    details: { where, token: id },
  });
}

export function invalid(key: string, problem: string): InvalidFileError {
  return new InvalidFileError(`metadata key "${key}": ${problem}`, { details: { key } });
}

export function checkLength(key: string, found: number, tokens: number): void {
  if (found !== tokens) throw invalid(key, `${found} items for ${tokens} tokens`);
}
