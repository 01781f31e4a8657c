import { UnsupportedModelError } from '../../errors';
import { CONTRACTION, compile, LOWER, UPPER } from '../patterns';

const PUNCTUATION_CLASS = String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_${'`'}{|}~]`;
const ANY_CASE = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)`;
const before = String.raw`[^\r\n\p{L}\p{N}]?`;

/** Alternatives that mean the same in JavaScript as in the library that the file was written for. */
const SAME: readonly string[] = [
  "'s",
  "'t",
  "'re",
  "'ve",
  "'m",
  "'ll",
  "'d",
  String.raw` ?\p{L}+`,
  String.raw` ?\p{N}+`,
  String.raw`\s?\p{L}+`,
  String.raw`\s?\p{P}+`,
  String.raw`\p{L}+`,
  String.raw`\p{N}`,
  String.raw`\p{N}+`,
  String.raw`\p{N}{1}`,
  String.raw`\p{N}{1,2}`,
  String.raw`\p{N}{1,3}`,
  '[0-9]',
  '[0-9]+',
  '[0-9]{3}',
  '[0-9]{1,3}',
  '[0-9][0-9][0-9]',
  String.raw`[\r\n]`,
  String.raw`[\r\n]+`,
  String.raw`\s+(?!\S)`,
  String.raw`\s+`,
  String.raw`\s`,
  String.raw`\S+`,
  String.raw`\s*[\r\n]+`,
  String.raw`\s*[\r\n]`,
  String.raw`[^\n]+`,
  String.raw`[\n]+`,
  String.raw`\n+`,
  String.raw`\n`,
  ' ',
  ' +',
  String.raw` ?[^\s\p{L}\p{N}]+`,
  String.raw` ?[^\s\p{L}\p{N}\r\n]+`,
  String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*`,
  String.raw` ?[^\s\p{L}\p{N}]+[\r\n/]*`,
  String.raw` ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*`,
  String.raw`${before}\p{L}+`,
  String.raw`${before}[\p{L}\p{M}]+`,
  String.raw`[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+`,
  String.raw` ?[\p{P}\p{S}]+`,
  String.raw` ?[\p{P}\p{S}]+[\r\n]*`,
  `${PUNCTUATION_CLASS}[A-Za-z]+`,
  '[一-龥぀-ゟ゠-ヿ]+',
  '[一-龥ࠀ-一가-퟿]+',
  `${before}${UPPER}*${LOWER}+`,
  `${before}${UPPER}+${LOWER}*`,
];

/** Alternatives that JavaScript writes in another way. */
const OTHERWISE: readonly (readonly [theirs: string, ours: string])[] = [
  [ANY_CASE, CONTRACTION],
  [String.raw`'(?i:[sdmt]|ll|ve|re)`, String.raw`'(?:[sdmtSDMT]|[lL][lL]|[vV][eE]|[rR][eE])`],
  // What a possessive quantifier keeps could not match the rest of these either.
  [String.raw`[^\r\n\p{L}\p{N}]?+\p{L}+`, String.raw`${before}\p{L}+`],
  [String.raw` ?[^\s\p{L}\p{N}]++[\r\n]*`, String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*`],
  [String.raw`\p{N}{1,3}+`, String.raw`\p{N}{1,3}`],
  [`${before}${UPPER}*${LOWER}+${ANY_CASE}?`, `${before}${UPPER}*${LOWER}+${CONTRACTION}?`],
  [`${before}${UPPER}+${LOWER}*${ANY_CASE}?`, `${before}${UPPER}+${LOWER}*${CONTRACTION}?`],
  // The same, without a look from every space of a long row to its end.
  [String.raw`\s+$`, String.raw`(?<!\s)\s+$`],
  [String.raw`\s++$`, String.raw`(?<!\s)\s+$`],
];

const ALTERNATIVES: ReadonlyMap<string, string> = new Map([
  ...SAME.map((pattern) => [pattern, pattern] as const),
  ...OTHERWISE,
]);

/**
 * A regular expression of a tokenizer file as one of JavaScript's. A file can hold any expression, one that takes for ever too; so all of its
 * alternatives must be among those that tokenizers are known to use, which take time in proportion to the text.
 * @throws UnsupportedModelError that shows the alternative.
 */
export function knownPattern(pattern: string, where: string): RegExp {
  // Some files hold the line breaks themselves.
  const spelled = pattern.replaceAll('\r', String.raw`\r`).replaceAll('\n', String.raw`\n`);
  const alternatives = splitAlternatives(spelled).map((alternative) => {
    const ours = ALTERNATIVES.get(alternative);
    if (ours !== undefined) return ours;
    throw new UnsupportedModelError(
      `${where}: the regular expression ${JSON.stringify(alternative.slice(0, 200))} is not one that is known to be safe`,
      { details: { where, pattern: pattern.slice(0, 1000) } },
    );
  });
  return compile(alternatives.join('|'));
}

/** Splits at the bars that are in no brackets. */
function splitAlternatives(pattern: string): string[] {
  const alternatives: string[] = [];
  let start = 0;
  let depth = 0;
  let inClass = false;
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at];
    if (character === '\\') at++;
    else if (inClass) inClass = character !== ']';
    else if (character === '[') inClass = true;
    else if (character === '(') depth++;
    else if (character === ')') depth--;
    else if (character === '|' && depth === 0) {
      alternatives.push(pattern.slice(start, at));
      start = at + 1;
    }
  }
  return [...alternatives, pattern.slice(start)];
}
