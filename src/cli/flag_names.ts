import { InvalidOptionError } from '../errors';
import { messageOf } from '../errors/message_of';

/** Options of the SDK that the terminal spells in a way of its own. */
const FLAGS: Readonly<Record<string, string>> = {
  num_beams: '--beams',
  speculation: '--ngram, --draft',
  penalty_alpha: '--contrastive',
  guidance_scale: '--guidance',
  'context_overflow.sinks': '--sinks',
  'context_overflow.window': '--window',
  contextLength: '--ctx',
  kvType: '--kv',
  activationType: '--activations',
  model: 'MODEL',
  file: 'MODEL',
  revision: 'MODEL',
  token: 'HF_TOKEN',
  hub: 'HF_ENDPOINT',
  promptTokens: '--tokens',
  'response_format.json_schema.schema': '--json-schema',
  'response_format.regex': '--regex',
  'response_format.grammar': '--grammar',
  // The text whose perplexity is measured.
  text: '--file',
};

/** An error's message on one line, with options called as `usage` has them: --top-k, where the SDK says top_k. */
export function terminalMessage(error: unknown, usage: string): string {
  if (error instanceof InvalidOptionError)
    return oneLine(`${flagOf(error.field, usage)}: ${String(error.details['reason'])}`);
  return oneLine(messageOf(error));
}

function flagOf(field: string, usage: string): string {
  if (Object.hasOwn(FLAGS, field)) return FLAGS[field];
  const flag = `--${field.replaceAll(/_|(?=[A-Z])/g, '-').toLowerCase()}`;
  // As a whole word: --n is not the beginning of --no-tune.
  return new RegExp(`${flag}(?![\\w-])`).test(usage) ? flag : field;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ');
}
