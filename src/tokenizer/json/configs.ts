import { Fields, isCount, mismatch } from './fields';

export interface SpecialNames {
  readonly bos?: string;
  readonly eos?: string;
  /** Whether BOS goes before every text, where the file says so. */
  readonly addsBos: boolean;
}

/** Which tokens begin and end a text, from tokenizer_config.json. */
export function readSpecialNames(config: Fields | undefined): SpecialNames {
  if (!config) return { addsBos: false };
  return {
    bos: tokenText(config, 'bos_token'),
    eos: tokenText(config, 'eos_token'),
    addsBos: config.flag('add_bos_token', false),
  };
}

/** A token by its text, or described as an added token is. */
function tokenText(config: Fields, key: string): string | undefined {
  if (!config.has(key)) return undefined;
  return typeof config.value(key) === 'string' ? config.text(key) : config.child(key).text('content');
}

/** `eos_token_id` of generation_config.json: one id or a list of them. */
export function readGenerationEnds(text: string | undefined): readonly number[] {
  if (text === undefined) return [];
  const config = Fields.parse(text, 'generation_config.json');
  if (!config.has('eos_token_id')) return [];
  const value = config.value('eos_token_id');
  const ids: readonly unknown[] = Array.isArray(value) ? value : [value];
  return ids.map((id) => {
    if (!isCount(id)) throw mismatch(config.at('eos_token_id'), 'ids of tokens', id);
    return id;
  });
}
