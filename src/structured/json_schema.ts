/**
 * JSON Schema (2020-12) as a grammar. Only what is enforced is taken: a keyword that is not known here is an error, never ignored.
 * XGrammar's own reading of schemas is not used: docs/decisions/0009-structured-output.md says why.
 */
import { InvalidOptionError } from '../errors';
import { literal, STRING_FORMATS, stringCharacter, valueText } from './json_text';
import { type Bound, fractionDigits, integerRange, MAX_DIGITS, numberRange } from './number_range';
import { otherName } from './other_names';
import { expressionToEbnf } from './regular_expression';
import { RuleSet } from './rule_set';
import { areDisjoint, typeOf } from './schema_values';

type Schema = Readonly<Record<string, unknown>>;

const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
type Type = (typeof TYPES)[number];

/** Says nothing about a value; `$defs` and `definitions` are read where something refers to them. */
const ANNOTATIONS: readonly string[] = [
  'title',
  'description',
  'default',
  'examples',
  '$comment',
  '$schema',
  '$id',
  '$defs',
  'definitions',
  'deprecated',
  'readOnly',
  'writeOnly',
];

/** Stand for a whole schema: only annotations beside them. */
const WHOLE: readonly string[] = ['$ref', 'anyOf', 'oneOf', 'allOf'];

const NUMBERS = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'];
const BY_TYPE: Readonly<Record<Type, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: NUMBERS,
  integer: NUMBERS,
  boolean: [],
  null: [],
};

/** Of lengths and numbers of items: a grammar spells every one of them out. */
const MAX_COUNT = 1000;
/**
 * The grammar of a schema's values, beginning with the rule `root`. `strict`: objects that list properties have no others, unless the schema
 * says so. Throws InvalidOptionError for `field` that names the place in the schema.
 */
export function schemaToEbnf(schema: unknown, strict: boolean, field: string): string {
  return new SchemaGrammar(schema, strict, field).write();
}

class SchemaGrammar {
  readonly #rules: RuleSet;
  /** Rules of the places that are referred to. */
  readonly #places = new Map<string, string>();

  constructor(
    private readonly whole: unknown,
    private readonly strict: boolean,
    private readonly field: string,
  ) {
    this.#rules = new RuleSet(() => this.#fail('#', 'the schema is too large'));
  }

  write(): string {
    return this.#rules.write(this.#reference('#', '#', new Set()));
  }

  #fail(at: string, reason: string): never {
    throw new InvalidOptionError(this.field, `${at}: ${reason}`);
  }

  /** An expression for a schema. `within`: places that are being read and have no text of their own so far: none may come back to itself. */
  #visit(schema: unknown, at: string, within: ReadonlySet<string> = new Set()): string {
    if (schema === true) return this.#rules.json('any');
    if (schema === false) this.#fail(at, 'allows no value');
    if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) {
      this.#fail(at, 'a schema must be an object or a boolean');
    }
    const given = schema as Schema;
    const says = Object.keys(given).filter((key) => given[key] !== undefined && !ANNOTATIONS.includes(key));
    const whole = says.find((key) => WHOLE.includes(key));
    if (whole !== undefined) {
      const beside = says.find((key) => key !== whole);
      if (beside !== undefined) this.#fail(at, `"${beside}" beside "${whole}" is not supported`);
      return this.#combination(whole, given[whole], at, within);
    }
    if (says.includes('enum') || says.includes('const')) return this.#values(given, says, at);
    const types = this.#types(given, says, at);
    const known = new Set(['type', ...types.flatMap((type) => BY_TYPE[type])]);
    const unknown = says.find((key) => !known.has(key));
    if (unknown !== undefined) {
      const misplaced = Object.values(BY_TYPE).some((keys) => keys.includes(unknown));
      this.#fail(
        at,
        `"${unknown}" ${misplaced ? `does not go with the type ${types.join(' or ')}` : 'is not supported'}`,
      );
    }
    return choice(types.map((type) => this.#ofType(type, given, at)));
  }

  /** Without a type the keywords say which; without any, everything goes. */
  #types(schema: Schema, says: readonly string[], at: string): readonly Type[] {
    const { type } = schema;
    if (type === undefined) {
      const meant = TYPES.filter((each) => each !== 'integer' && BY_TYPE[each].some((key) => says.includes(key)));
      if (meant.length > 1) this.#fail(at, `needs a "type": its keywords are those of ${meant.join(' and ')}`);
      return meant.length === 1 ? meant : ['object', 'array', 'string', 'number', 'boolean', 'null'];
    }
    const types: readonly unknown[] = Array.isArray(type) ? type : [type];
    const wrong = types.find((each) => !TYPES.includes(each as Type));
    if (wrong !== undefined || types.length === 0) {
      this.#fail(at, `"type" must be one or several of ${TYPES.join(', ')}`);
    }
    return types as readonly Type[];
  }

  #ofType(type: Type, schema: Schema, at: string): string {
    switch (type) {
      case 'object':
        return this.#object(schema, at);
      case 'array':
        return this.#array(schema, at);
      case 'string':
        return this.#string(schema, at);
      case 'number':
      case 'integer':
        return this.#number(type, schema, at);
      case 'boolean':
      case 'null':
        return this.#rules.json(type);
    }
  }

  #combination(keyword: string, value: unknown, at: string, within: ReadonlySet<string>): string {
    if (keyword === '$ref') {
      if (typeof value !== 'string') this.#fail(at, '"$ref" must be a string');
      return this.#reference(value, at, within);
    }
    if (!Array.isArray(value) || value.length === 0)
      this.#fail(at, `"${keyword}" must be a list of at least one schema`);
    const parts: readonly unknown[] = value;
    if (keyword === 'allOf' && parts.length > 1) this.#fail(at, '"allOf" of several schemas is not supported');
    if (keyword === 'oneOf' && !areDisjoint(parts, (ref) => this.#find(ref, at))) {
      this.#fail(
        at,
        '"oneOf" is supported where no value fits two of them: other types, or another constant in the same place; use "anyOf"',
      );
    }
    return choice(parts.map((part, i) => this.#visit(part, `${at}/${keyword}/${i}`, within)));
  }

  /** The rule of the place that a reference names. */
  #reference(ref: string, at: string, within: ReadonlySet<string>): string {
    if (within.has(ref)) this.#fail(at, `"${ref}" refers to itself and to nothing else`);
    const known = this.#places.get(ref);
    if (known !== undefined) return known;
    const target = this.#find(ref, at);
    const name = `place_${this.#places.size}`;
    this.#places.set(ref, name);
    this.#rules.define(name, this.#visit(target, ref, new Set([...within, ref])));
    return name;
  }

  #find(ref: string, at: string): unknown {
    if (ref !== '#' && !ref.startsWith('#/'))
      this.#fail(at, `"$ref" to "${ref}": only places of this schema (#/…) are supported`);
    const path = ref.split('/').slice(1);
    return path.reduce<unknown>((value, part) => {
      const key = decodePart(part);
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) {
        this.#fail(at, `"$ref" to "${ref}": there is no such place`);
      }
      return (value as Schema)[key];
    }, this.whole);
  }

  #values(schema: Schema, says: readonly string[], at: string): string {
    const beside = says.find((key) => !['enum', 'const', 'type'].includes(key));
    if (beside !== undefined) this.#fail(at, `"${beside}" beside "enum" or "const" is not supported`);
    if ('enum' in schema && 'const' in schema) this.#fail(at, '"enum" beside "const" is not supported');
    const listed: unknown = 'const' in schema ? [schema['const']] : schema['enum'];
    if (!Array.isArray(listed) || listed.length === 0) this.#fail(at, '"enum" must be a list of at least one value');
    const types = schema['type'] === undefined ? undefined : this.#types(schema, says, at);
    const values = listed.filter((value) => !types || types.some((type) => typeOf(value).includes(type)));
    if (values.length === 0) this.#fail(at, 'none of its values is of its type');
    return choice(values.map((value) => literal(valueText(value))));
  }

  #number(type: 'number' | 'integer', schema: Schema, at: string): string {
    const low = this.#bound(schema, 'minimum', 'exclusiveMinimum', at);
    const high = this.#bound(schema, 'maximum', 'exclusiveMaximum', at);
    if (!low && !high) return this.#rules.json(type);
    const range = type === 'integer' ? integerRange(low, high) : numberRange(low, high);
    return range ?? this.#fail(at, `no ${type} is in its range`);
  }

  #bound(schema: Schema, inclusive: string, exclusive: string, at: string): Bound | undefined {
    const bounds = [inclusive, exclusive].flatMap((keyword): Bound[] => {
      const value = schema[keyword];
      if (value === undefined) return [];
      const bound = { value: value as number, exclusive: keyword === exclusive };
      if (typeof value !== 'number' || !(Math.abs(value) < 10 ** MAX_DIGITS) || fractionDigits(bound) > 6) {
        this.#fail(at, `"${keyword}" must be a number of at most ${MAX_DIGITS} digits and 6 decimal places`);
      }
      return [bound];
    });
    if (bounds.length > 1) this.#fail(at, `"${inclusive}" beside "${exclusive}" is not supported`);
    return bounds[0];
  }

  #string(schema: Schema, at: string): string {
    const { pattern, format } = schema;
    const [least, most] = this.#counts(schema, 'minLength', 'maxLength', at);
    const limited = least > 0 || most !== undefined;
    if ([pattern !== undefined, format !== undefined, limited].filter(Boolean).length > 1) {
      this.#fail(at, 'only one of "pattern", "format" and a length is supported');
    }
    if (pattern !== undefined) return this.#pattern(pattern, at);
    if (format !== undefined) {
      if (typeof format !== 'string' || !Object.hasOwn(STRING_FORMATS, format)) {
        this.#fail(
          at,
          `the format ${JSON.stringify(format)} is not supported (${Object.keys(STRING_FORMATS).join(', ')})`,
        );
      }
      return `("\\"" ${STRING_FORMATS[format]} "\\"")`;
    }
    if (!limited) return this.#rules.json('string');
    return `("\\"" ${this.#rules.repeated(this.#rules.json('char'), least, most)} "\\"")`;
  }

  #pattern(pattern: unknown, at: string): string {
    if (typeof pattern !== 'string') this.#fail(at, '"pattern" must be a string');
    try {
      return `("\\"" ${expressionToEbnf(pattern, stringCharacter, this.#rules)} "\\"")`;
    } catch (error) {
      if (error instanceof SyntaxError) this.#fail(at, `"pattern": ${error.message}`);
      throw error;
    }
  }

  #array(schema: Schema, at: string): string {
    const { items, prefixItems } = schema;
    if (Array.isArray(items)) this.#fail(at, '"items" is a list: that is "prefixItems" now');
    const [least, most] = this.#counts(schema, 'minItems', 'maxItems', at);
    if (prefixItems === undefined) {
      if (items === false) return this.#noMoreThan(least, 0, '"[]"', at);
      if (items === undefined && least === 0 && most === undefined) return this.#rules.json('array');
      const item = this.#rules.add(this.#visit(items ?? true, `${at}/items`));
      return this.#list(item, least, most);
    }
    if (!Array.isArray(prefixItems) || prefixItems.length === 0) {
      this.#fail(at, '"prefixItems" must be a list of at least one schema');
    }
    // All of them are written, where the length allows it.
    const first = prefixItems
      .slice(0, most)
      .map((item, i) => this.#rules.add(this.#visit(item, `${at}/prefixItems/${i}`)));
    const written = first.join(' ", " ');
    const left = most === undefined ? undefined : most - first.length;
    const closed = items === false || (items === undefined && this.strict);
    if (first.length === 0) return '"[]"';
    if (closed || left === 0) return this.#noMoreThan(least, first.length, `("[" ${written} "]")`, at);
    const item = this.#rules.add(this.#visit(items ?? true, `${at}/items`));
    return `("[" ${written} ${this.#rules.repeated(`(", " ${item})`, Math.max(0, least - first.length), left)} "]")`;
  }

  #list(item: string, least: number, most: number | undefined): string {
    if (most === 0) return '"[]"';
    const left = most === undefined ? undefined : most - 1;
    const items = `${item} ${this.#rules.repeated(`(", " ${item})`, Math.max(0, least - 1), left)}`;
    return least === 0 ? `("[" (${items})? "]")` : `("[" ${items} "]")`;
  }

  #noMoreThan(least: number, most: number, expression: string, at: string): string {
    if (least > most) this.#fail(at, `"minItems" is ${least}, and there can be ${most} items`);
    return expression;
  }

  #counts(schema: Schema, minimum: string, maximum: string, at: string): [least: number, most: number | undefined] {
    const read = (keyword: string): number | undefined => {
      const value = schema[keyword];
      if (value === undefined) return undefined;
      if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
        this.#fail(at, `"${keyword}" must be an integer of at least 0`);
      }
      return value > MAX_COUNT ? this.#fail(at, `"${keyword}" is ${value}, at most ${MAX_COUNT} is supported`) : value;
    };
    const [least = 0, most] = [read(minimum), read(maximum)];
    if (most !== undefined && least > most) this.#fail(at, `"${minimum}" is more than "${maximum}"`);
    return [least, most];
  }

  #object(schema: Schema, at: string): string {
    const { properties = {}, required = [], additionalProperties: additional } = schema;
    if (typeof properties !== 'object' || properties === null || Array.isArray(properties)) {
      this.#fail(at, '"properties" must be an object');
    }
    if (!Array.isArray(required) || required.some((name) => typeof name !== 'string')) {
      this.#fail(at, '"required" must be a list of names');
    }
    const listed = schema['properties'] !== undefined;
    const closed = additional === false || (additional === undefined && this.strict && listed);
    const names: readonly string[] = [...new Set([...Object.keys(properties), ...(required as string[])])];
    if (names.length === 0 && !closed && (additional ?? true) === true) return this.#rules.json('object');
    const members = names.map((name) => {
      const isListed = Object.hasOwn(properties, name);
      if (!isListed && closed) this.#fail(at, `"${name}" is required and not among the properties`);
      const place = isListed ? `${at}/properties/${encodePart(name)}` : `${at}/additionalProperties`;
      const value = this.#visit(isListed ? (properties as Schema)[name] : (additional ?? true), place);
      return {
        text: this.#rules.add(`${literal(`${valueText(name)}: `)} ${value}`),
        required: required.includes(name),
      };
    });
    const more = closed
      ? undefined
      : this.#rules.add(
          `${otherName(this.#rules, names)} ": " ${this.#visit(additional ?? true, `${at}/additionalProperties`)}`,
        );
    // What may follow when something was written, and when nothing was: from the last member to the first.
    let behind = more === undefined ? '""' : this.#rules.add(`(", " ${more})*`);
    let start = more === undefined ? '""' : this.#rules.add(`(${more} (", " ${more})*)?`);
    for (const { text, required: must } of members.toReversed()) {
      const now = start;
      start = this.#rules.add(must ? `${text} ${behind}` : `${text} ${behind} | ${now}`);
      behind = this.#rules.add(must ? `", " ${text} ${behind}` : `", " ${text} ${behind} | ${behind}`);
    }
    return `("{" ${start} "}")`;
  }
}

function choice(expressions: readonly string[]): string {
  return expressions.length === 1 ? expressions[0] : `(${expressions.join(' | ')})`;
}

/** A part of a JSON pointer in a URI (RFC 6901). */
function decodePart(part: string): string {
  let text = part;
  try {
    text = decodeURIComponent(part);
  } catch {
    // Then it was not percent-encoded.
  }
  return text.replaceAll('~1', '/').replaceAll('~0', '~');
}

function encodePart(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
