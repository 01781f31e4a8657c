import { pick } from './seeded';

type Schema = Record<string, unknown>;

const NAMES = [
  'name',
  'age',
  'tags',
  'is ok',
  'größe',
  'a/b',
  'x~y',
  '"quoted"',
  'kind',
  'id',
  'n',
  'na',
  'nam',
  '数',
  '🦊',
  '',
];
const TEXTS = ['red', 'green', 'blue', 'it\'s "so"', 'tab\there', 'ünï', '🦊 and 🐻', '\\', ''];
const PATTERNS = [
  '^[a-z]{1,6}$',
  '^(\\d{3}-)?\\d{2,4}$',
  '^[^"\\\\]{2,8}$',
  '^(yes|no|maybe)$',
  '^\\w{1,8}@\\w{1,6}\\.(com|org)$',
  '^.{0,5}$',
  '^[\\u00e0-\\u00ff🦊]{1,4}$',
];
const FORMATS = ['date', 'time', 'date-time', 'uuid', 'ipv4', 'email'];

/** A schema of the supported keywords that has values of every length that its grammar can end; the same for the same `random`. */
export function randomSchema(random: () => number, depth = chance(random, 0.25) ? 2 : 1): unknown {
  const schema = objectSchema(random, depth);
  return random() < 0.2 ? { ...schema, $defs: {}, title: 'An answer', description: 'what it means' } : schema;
}

const chance = (random: () => number, probability: number): boolean => random() < probability;

const integer = (random: () => number, from: number, to: number): number =>
  from + Math.floor(random() * (to - from + 1));

function value(random: () => number, depth: number): unknown {
  const kinds = ['string', 'string', 'number', 'integer', 'boolean', 'null', 'enum', 'const', 'types'];
  if (depth > 0) kinds.push('object', 'object', 'array', 'array', 'anyOf', 'oneOf', 'tuple');
  const kind = pick(random, kinds);
  switch (kind) {
    case 'string':
      return stringSchema(random);
    case 'number':
    case 'integer':
      return numberSchema(random, kind);
    case 'enum':
      return { enum: [...new Set([pick(random, TEXTS), pick(random, TEXTS), 7, null, [1, { a: 'b' }]])] };
    case 'const':
      return { const: pick(random, [...TEXTS, true, -12.5, { a: [1, 2], b: {} }]) };
    case 'types':
      return { type: ['integer', 'null'], minimum: integer(random, -5, 5) };
    case 'object':
      return objectSchema(random, depth - 1);
    case 'array': {
      const least = integer(random, 0, 2);
      return {
        type: 'array',
        items: value(random, depth - 1),
        minItems: least,
        maxItems: least + integer(random, 0, 2),
      };
    }
    case 'tuple':
      return { type: 'array', prefixItems: [value(random, depth - 1), value(random, 0)], items: false };
    case 'anyOf':
      return { anyOf: [value(random, depth - 1), value(random, depth - 1)] };
    case 'oneOf':
      return { oneOf: [tagged('a', random), tagged('b', random), { type: 'null' }] };
    default:
      return { type: kind };
  }
}

function tagged(tag: string, random: () => number): Schema {
  return {
    type: 'object',
    properties: { kind: { const: tag }, value: value(random, 0) },
    required: ['kind', 'value'],
    additionalProperties: false,
  };
}

function stringSchema(random: () => number): Schema {
  const form = random();
  if (form < 0.35) return { type: 'string', pattern: pick(random, PATTERNS) };
  if (form < 0.55) return { type: 'string', format: pick(random, FORMATS) };
  const least = integer(random, 0, 4);
  return { type: 'string', minLength: least, maxLength: least + integer(random, 0, 8) };
}

function numberSchema(random: () => number, type: string): Schema {
  const low = integer(random, -300, 300) / (type === 'number' ? pick(random, [1, 4, 100]) : 1);
  const schema: Schema = { type };
  if (chance(random, 0.7)) schema[pick(random, ['minimum', 'exclusiveMinimum'])] = low;
  if (chance(random, 0.7)) schema[pick(random, ['maximum', 'exclusiveMaximum'])] = low + integer(random, 2, 500);
  return schema;
}

function objectSchema(random: () => number, depth: number): Schema {
  const names = [...new Set(Array.from({ length: integer(random, 1, 3) }, () => pick(random, NAMES)))];
  return {
    type: 'object',
    properties: Object.fromEntries(names.map((name) => [name, value(random, depth)])),
    required: names.filter(() => chance(random, 0.6)),
    ...(chance(random, 0.3) && { additionalProperties: false }),
  };
}
