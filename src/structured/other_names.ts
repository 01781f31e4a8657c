import { type CodeRange, complement, LAST_CODE } from './character_set';
import { literal, plainCharacter } from './json_text';
import type { RuleSet } from './rule_set';

/** A name of a member, in quotes, that is none of `names`. Names that need escapes are not written. */
export function otherName(rules: RuleSet, names: readonly string[]): string {
  return `"\\"" ${rest(
    rules,
    names.filter(isPlain).map((name) => Array.from(name)),
  )}`;
}

/** The rest of a name, and its closing quote, that is none of `names`. */
function rest(rules: RuleSet, names: readonly (readonly string[])[]): string {
  const character = rules.shared('plain_char', plainCharacter([[0, LAST_CODE]]) ?? '');
  const any = rules.shared('plain_name', `${character}* "\\""`);
  if (names.length === 0) return any;
  const byFirst = new Map<string, (readonly string[])[]>();
  for (const [first, ...others] of names) {
    if (first !== undefined) byFirst.set(first, [...(byFirst.get(first) ?? []), others]);
  }
  const alternatives = Array.from(byFirst, ([first, others]) => `${literal(first)} ${rest(rules, others)}`);
  const firsts = Array.from(byFirst.keys(), (character): CodeRange => {
    const code = character.codePointAt(0) ?? 0;
    return [code, code];
  });
  alternatives.push(`${plainCharacter(complement(firsts))} ${any}`);
  if (names.every((name) => name.length > 0)) alternatives.push('"\\""');
  return rules.add(alternatives.join(' | '));
}

function isPlain(name: string): boolean {
  return !/["\\]|\p{Surrogate}/u.test(name) && Array.from(name).every((character) => character >= ' ');
}
