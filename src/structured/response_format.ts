import { InvalidOptionError } from '../errors';

/** What an answer must look like, in OpenAI's spelling; `regex` and `grammar` are what it lacks. */
export type ResponseFormat =
  /** Any JSON object. */
  | { readonly type: 'json_object' }
  | {
      readonly type: 'json_schema';
      readonly json_schema: {
        readonly name?: string;
        readonly description?: string;
        /** Supported keywords: docs/structured-output.md. */
        readonly schema: unknown;
        /** Default true: no properties but those that the schema lists. False: as JSON Schema has it, where it does not say otherwise. */
        readonly strict?: boolean;
      };
    }
  /** The whole answer matches. */
  | { readonly type: 'regex'; readonly regex: string }
  /** EBNF as XGrammar reads it (`root ::= "yes" | "no"`), beginning with the rule `root`. */
  | { readonly type: 'grammar'; readonly grammar: string };

const FIELDS: Readonly<Record<ResponseFormat['type'], readonly string[]>> = {
  json_object: [],
  json_schema: ['json_schema'],
  regex: ['regex'],
  grammar: ['grammar'],
};

const SCHEMA_FIELDS: readonly string[] = ['name', 'description', 'schema', 'strict'];

/**
 * The option as a caller wrote it; undefined for plain text. The contents are checked when they are compiled.
 * @throws InvalidOptionError naming the field.
 */
export function parseResponseFormat(value: unknown): ResponseFormat | undefined {
  if (value === undefined || value === null) return undefined;
  requireObject('response_format', value);
  const { type, ...fields } = value;
  if (type === 'text') {
    checkFields('response_format', fields, []);
    return undefined;
  }
  if (typeof type !== 'string' || !Object.hasOwn(FIELDS, type)) {
    throw new InvalidOptionError('response_format.type', `must be one of text, ${Object.keys(FIELDS).join(', ')}`);
  }
  const format = type as ResponseFormat['type'];
  checkFields('response_format', fields, FIELDS[format]);
  for (const field of FIELDS[format]) {
    if (fields[field] === undefined) throw new InvalidOptionError(`response_format.${field}`, 'is missing');
  }
  if (format === 'regex' || format === 'grammar') {
    const text = fields[format];
    if (typeof text !== 'string') throw new InvalidOptionError(`response_format.${format}`, 'must be a string');
    return format === 'regex' ? { type: format, regex: text } : { type: format, grammar: text };
  }
  return format === 'json_schema' ? { type: format, json_schema: parseSchema(fields[format]) } : { type: format };
}

function parseSchema(value: unknown): Extract<ResponseFormat, { type: 'json_schema' }>['json_schema'] {
  const at = 'response_format.json_schema';
  requireObject(at, value);
  checkFields(at, value, SCHEMA_FIELDS);
  const { name, description, schema, strict } = value;
  for (const [field, text] of Object.entries({ name, description })) {
    if (text !== undefined && typeof text !== 'string')
      throw new InvalidOptionError(`${at}.${field}`, 'must be a string');
  }
  if (schema === undefined) throw new InvalidOptionError(`${at}.schema`, 'is missing');
  if (strict !== undefined && strict !== null && typeof strict !== 'boolean') {
    throw new InvalidOptionError(`${at}.strict`, 'must be true or false');
  }
  return { schema: asJson(`${at}.schema`, schema), strict: strict ?? undefined };
}

/** A copy that is JSON through and through, which crosses the worker's edge. */
function asJson(field: string, value: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(value));
  } catch (error) {
    throw new InvalidOptionError(field, 'must be JSON', { cause: error });
  }
}

function checkFields(at: string, value: Readonly<Record<string, unknown>>, known: readonly string[]): void {
  const unknown = Object.keys(value).find((field) => !known.includes(field) && value[field] !== undefined);
  if (unknown !== undefined) throw new InvalidOptionError(`${at}.${unknown}`, 'unknown option');
}

function requireObject(field: string, value: unknown): asserts value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidOptionError(field, 'must be an object');
  }
}
