import { type CodeRange, characterSet, complement } from './character_set';

/** A comment, a literal, or a class of XGrammar's EBNF. */
const TOKEN = /#[^\n]*|"(?:[^"\\\n]|\\.)*"|\[(\^?)((?:[^\]\\\n]|\\.)*)\]/gu;
/** A character of a class, or two that a hyphen joins. */
const MEMBER =
  /(\\(?:x[0-9a-fA-F]+|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)|.)(?:-(\\(?:x[0-9a-fA-F]+|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)|.))?/gu;
const CONTROLS: Readonly<Record<string, number>> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13, e: 27, '0': 0 };

/** A grammar that XGrammar has read without complaint, with the classes that are not ASCII spelled as characterSet does. */
export function spellClasses(grammar: string): string {
  return grammar.replace(TOKEN, (text, negated: string | undefined, members: string | undefined) => {
    if (members === undefined) return text;
    const ranges = Array.from(members.matchAll(MEMBER), ([, first, last]): CodeRange => {
      const code = codeOf(first);
      return [code, last === undefined ? code : codeOf(last)];
    });
    if (ranges.every(([, last]) => last < 0x80)) return text;
    return characterSet(negated ? complement(ranges) : ranges) ?? text;
  });
}

function codeOf(member: string): number {
  if (!member.startsWith('\\') || member.length === 1) return member.codePointAt(0) ?? 0;
  const rest = member.slice(1);
  if (rest.length > 1) return Number.parseInt(rest.slice(1), 16);
  return Object.hasOwn(CONTROLS, rest) ? CONTROLS[rest] : (rest.codePointAt(0) ?? 0);
}
