import { InvalidOptionError } from '../errors';
import type { ResponseFormat } from '../structured/response_format';
import type { Arguments } from './arguments';
import { readText } from './text_input';

const FLAGS = ['json-schema', 'grammar', 'regex'];

/** What --json-schema, --grammar or --regex say that the output must look like. Rejects with InvalidOptionError or SourceError. */
export async function formatOf(args: Arguments): Promise<ResponseFormat | undefined> {
  const given = FLAGS.filter((flag) => args.text(flag) !== undefined);
  if (given.length > 1) throw new InvalidOptionError(`--${given[1]}`, `does not go with --${given[0]}`);
  const [schema, grammar, regex] = FLAGS.map((flag) => args.text(flag));
  if (schema !== undefined) return { type: 'json_schema', json_schema: { schema: await readJson(schema) } };
  if (grammar !== undefined) return { type: 'grammar', grammar: await readText(grammar) };
  return regex === undefined ? undefined : { type: 'regex', regex };
}

async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidOptionError('--json-schema', `${path} is no JSON: ${String(error)}`, { cause: error });
  }
}
