/** JSON as grammar rules: what any value is, written on one line with ", " and ": ", as Python's json module and most models do. */
import { type CodeRange, characterSet, complement } from './character_set';
import { MAX_DIGITS } from './number_range';

/** What a JSON string writes only with a backslash, and how. Other control characters are not written. */
const ESCAPED: readonly (readonly [code: number, text: string])[] = [
  [8, '\\b'],
  [9, '\\t'],
  [10, '\\n'],
  [12, '\\f'],
  [13, '\\r'],
  [34, '\\"'],
  [92, '\\\\'],
];
const NOT_PLAIN: readonly CodeRange[] = [
  [0, 31],
  [34, 34],
  [92, 92],
];

const HEX = '[0-9a-fA-F]';

/** Rules by name; each uses only rules of this table. */
export const JSON_RULES: Readonly<Record<string, string>> = {
  // No halves of surrogate pairs: every string is a text, and its length is its number of characters. Without other rules, so that XGrammar
  // puts it where it is used: a token of many characters is then decided once and for all, not anew at each step.
  char: `${characterSet(complement(NOT_PLAIN))} | "\\\\" ["\\\\/bfnrt] | "\\\\u" [0-9a-ce-fA-CE-F] ${HEX} ${HEX} ${HEX} | "\\\\u" [dD] [0-7] ${HEX} ${HEX}`,
  string: '"\\"" char* "\\""',
  integer: `"0" | "-"? [1-9] [0-9]{0,${MAX_DIGITS - 1}}`,
  number: `"-"? ("0" | [1-9] [0-9]{0,${MAX_DIGITS - 1}}) ("." [0-9]{1,${MAX_DIGITS}})? ([eE] [+\\-]? [0-9]{1,2})?`,
  boolean: '"true" | "false"',
  null: '"null"',
  array: '"[" (any (", " any)*)? "]"',
  object: '"{" (string ": " any (", " string ": " any)*)? "}"',
  any: 'object | array | string | number | boolean | null',
};

/** Formats of strings, without the quotes. Whatever matches is one, in any reading of the standard. */
export const STRING_FORMATS: Readonly<Record<string, string>> = {
  date: date(),
  time: time(),
  'date-time': `${date()} "T" ${time()}`,
  uuid: [8, 4, 4, 4, 12].map((count) => `${HEX}{${count}}`).join(' "-" '),
  ipv4: Array.from({ length: 4 }, () => '("25" [0-5] | "2" [0-4] [0-9] | "1" [0-9] [0-9] | [1-9] [0-9] | [0-9])').join(
    ' "." ',
  ),
  email:
    '[a-zA-Z0-9_]{1,20} ("." [a-zA-Z0-9_]{1,20}){0,2} "@" [a-zA-Z0-9]{1,20} ("-" [a-zA-Z0-9]{1,20})? ("." [a-zA-Z]{2,10}){1,2}',
};

function date(): string {
  const day = '("0" [1-9] | [12] [0-9]';
  return `[0-9]{4} "-" (("0" [13578] | "1" [02]) "-" ${day} | "3" [01]) | ("0" [469] | "11") "-" ${day} | "30") | "02-" ("0" [1-9] | "1" [0-9] | "2" [0-8]))`;
}

function time(): string {
  const clock = '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9]';
  return `${clock} ":" [0-5] [0-9] ("." [0-9]{1,6})? ("Z" | [+\\-] ${clock})`;
}

/** A text as a literal of the grammar. */
export function literal(text: string): string {
  const escaped = Array.from(text, (character) =>
    /["\\]|\p{Cc}|\p{Surrogate}/u.test(character) ? escapeCharacter(character) : character,
  );
  return `"${escaped.join('')}"`;
}

function escapeCharacter(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** One character of a set, inside of a string; undefined when no string has any of them. */
export function stringCharacter(ranges: readonly CodeRange[]): string | undefined {
  const plain = plainCharacter(ranges);
  const escaped = ESCAPED.filter(([code]) => ranges.some(([first, last]) => code >= first && code <= last));
  const found = [...(plain === undefined ? [] : [plain]), ...escaped.map(([, text]) => literal(text))];
  return found.length > 1 ? `(${found.join(' | ')})` : found[0];
}

/** The same without those that have to be escaped. */
export function plainCharacter(ranges: readonly CodeRange[]): string | undefined {
  return characterSet(complement([...complement(ranges), ...NOT_PLAIN]));
}

/** A value as the rules write it. */
export function valueText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(valueText).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([key, item]) => `${JSON.stringify(key)}: ${valueText(item)}`)
    .join(', ')}}`;
}
