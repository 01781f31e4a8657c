/** Regular expressions of JavaScript, as far as they are regular, as grammars. */
import { type CodeRange, complement, LAST_CODE } from './character_set';
import type { RuleSet } from './rule_set';

const DIGITS: readonly CodeRange[] = [[48, 57]];
const WORD: readonly CodeRange[] = [...DIGITS, [65, 90], [95, 95], [97, 122]];
const SPACES: readonly CodeRange[] = [
  [9, 13],
  [32, 32],
  [160, 160],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const LINE_ENDS: readonly CodeRange[] = [
  [10, 10],
  [13, 13],
  [0x2028, 0x2029],
];
const CLASSES: Readonly<Record<string, readonly CodeRange[]>> = {
  d: DIGITS,
  w: WORD,
  s: SPACES,
  D: complement(DIGITS),
  W: complement(WORD),
  S: complement(SPACES),
};
const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, '0': 0 };

/** Of a count in braces: every repetition is spelled out. */
const MAX_COUNT = 1000;

/** How one character of a set is written in the text; undefined when none of them can be. */
type Spelling = (set: readonly CodeRange[]) => string | undefined;

/**
 * The texts that match as a whole, as a grammar expression: `^` and `$` at the ends are taken for granted. Throws SyntaxError that says what
 * is wrong, or not supported, and where. Rules that it needs go to `rules`.
 */
export function expressionToEbnf(expression: string, spelling: Spelling, rules: RuleSet): string {
  return new ExpressionReader(expression, spelling, rules).read();
}

class ExpressionReader {
  readonly #characters: readonly string[];
  #at = 0;

  constructor(
    expression: string,
    private readonly spelling: Spelling,
    private readonly rules: RuleSet,
  ) {
    this.#characters = Array.from(expression);
  }

  read(): string {
    const expression = this.#alternatives(true);
    if (this.#at < this.#characters.length) this.#fail('a parenthesis closes nothing');
    return expression;
  }

  get #next(): string | undefined {
    return this.#characters[this.#at];
  }

  #fail(reason: string): never {
    throw new SyntaxError(`${reason}, at character ${this.#at + 1}`);
  }

  #skip(character: string): boolean {
    if (this.#next !== character) return false;
    this.#at++;
    return true;
  }

  #alternatives(outermost: boolean): string {
    const found = [this.#sequence(outermost)];
    while (this.#skip('|')) found.push(this.#sequence(outermost));
    return found.length === 1 ? found[0] : `(${found.join(' | ')})`;
  }

  #sequence(outermost: boolean): string {
    const parts: string[] = [];
    if (outermost) this.#skip('^');
    while (this.#next !== undefined && this.#next !== '|' && this.#next !== ')') {
      if (outermost && this.#next === '$' && ['|', undefined].includes(this.#characters[this.#at + 1])) {
        this.#at++;
        break;
      }
      parts.push(this.#quantified());
    }
    return parts.length === 0 ? '""' : parts.join(' ');
  }

  #quantified(): string {
    const atom = this.#atom();
    const count = this.#quantifier();
    if (!count) return atom;
    // Lazy or greedy, the language is the same.
    this.#skip('?');
    if ('*+?{'.includes(this.#next ?? ' ')) this.#fail('a second quantifier');
    return this.rules.repeated(`(${atom})`, ...count);
  }

  #quantifier(): [least: number, most: number | undefined] | undefined {
    if (this.#skip('*')) return [0, undefined];
    if (this.#skip('+')) return [1, undefined];
    if (this.#skip('?')) return [0, 1];
    if (this.#next !== '{') return undefined;
    const rest = this.#characters.slice(this.#at).join('');
    const [whole, least, comma, most] = /^\{(\d+)(,?)(\d*)\}/.exec(rest) ?? [];
    if (whole === undefined || (comma === '' && most !== '')) this.#fail('a brace without a count');
    if (Number(least) > MAX_COUNT || Number(most) > MAX_COUNT) this.#fail(`a count above ${MAX_COUNT}`);
    if (most !== '' && Number(least) > Number(most)) this.#fail('a range of counts that is empty');
    this.#at += whole.length;
    if (comma === '') return [Number(least), Number(least)];
    return [Number(least), most === '' ? undefined : Number(most)];
  }

  #atom(): string {
    const character = this.#next ?? '';
    if ('*+?{'.includes(character)) this.#fail('nothing to repeat');
    if (character === '^' || character === '$') this.#fail(`"${character}" is supported at the ends only`);
    this.#at++;
    switch (character) {
      case '(':
        return this.#group();
      case '[':
        return this.#spell(this.#set());
      case '.':
        return this.#spell(complement(LINE_ENDS));
      case '\\':
        return this.#spell(this.#escape());
      default:
        return this.#spell([codes(character)]);
    }
  }

  #group(): string {
    if (this.#skip('?') && !this.#skip(':')) {
      const name = /^<[\p{L}_$][\p{L}\p{N}_$]*>/u.exec(this.#characters.slice(this.#at).join(''))?.[0];
      if (name === undefined) this.#fail('lookarounds and flags are not supported');
      this.#at += Array.from(name).length;
    }
    const inner = this.#alternatives(false);
    if (!this.#skip(')')) this.#fail('a parenthesis is not closed');
    return `(${inner})`;
  }

  #set(): readonly CodeRange[] {
    const negated = this.#skip('^');
    const ranges: CodeRange[] = [];
    while (!this.#skip(']')) {
      const first = this.#member();
      if (this.#next === '-' && this.#characters[this.#at + 1] !== ']' && isOne(first)) {
        this.#at++;
        const last = this.#member();
        if (!isOne(last) || last[0][1] < first[0][0]) this.#fail('a range of characters that is empty');
        ranges.push([first[0][0], last[0][1]]);
      } else ranges.push(...first);
    }
    return negated ? complement(ranges) : ranges;
  }

  #member(): readonly CodeRange[] {
    const character = this.#next;
    if (character === undefined) this.#fail('a set of characters is not closed');
    this.#at++;
    if (character !== '\\') return [codes(character)];
    if (this.#skip('b')) return [[8, 8]];
    return this.#escape();
  }

  #spell(set: readonly CodeRange[]): string {
    return this.spelling(set) ?? this.#fail('a set without any character that may be written, which ends');
  }

  /** What follows a backslash. */
  #escape(): readonly CodeRange[] {
    const character = this.#next;
    if (character === undefined) this.#fail('a backslash at the end');
    const rest = this.#characters.slice(this.#at).join('');
    const [code, short, long] = /^(?:u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|x[0-9a-fA-F]{2})/.exec(rest) ?? [];
    if (code !== undefined) {
      this.#at += code.length;
      const point = Number.parseInt(short ?? long ?? code.slice(1), 16);
      if (point > LAST_CODE) this.#fail('a character that does not exist');
      return [[point, point]];
    }
    this.#at++;
    if (Object.hasOwn(CLASSES, character)) return CLASSES[character];
    if (Object.hasOwn(CONTROLS, character)) return [[CONTROLS[character], CONTROLS[character]]];
    if (/[A-Za-z1-9]/.test(character)) this.#fail(`"\\${character}" is not supported`);
    return [codes(character)];
  }
}

function codes(character: string): CodeRange {
  const code = character.codePointAt(0) ?? 0;
  return [code, code];
}

function isOne(ranges: readonly CodeRange[]): boolean {
  return ranges.length === 1 && ranges[0][0] === ranges[0][1];
}
