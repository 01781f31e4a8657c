import { JSON_RULES } from './json_text';

/** In characters and in rules, of which XGrammar makes more. */
const MAX_SIZE = 2 ** 20;
const MAX_RULES = 10_000;

/** Repetitions that XGrammar spells out itself. */
const FEW = 4;
/**
 * Up to here each of them is compiled for the whole vocabulary (with 150,000 tokens 64 ms each, and next to nothing for a token); above, all share what is compiled, and tokens of
 * several characters are looked at anew at each step (up to 90 ms). XGrammar's own way to count above 128 costs many times that.
 */
const MANY = 32;

/** The rules of a grammar that is being made. */
export class RuleSet {
  readonly #rules = new Map<string, string>();
  readonly #names = new Map<string, string>();
  #size = 0;

  /** `tooLarge` throws. */
  constructor(private readonly tooLarge: () => never) {}

  /** The grammar, beginning with the rule `root`. */
  write(root: string): string {
    return [`root ::= ${root}`, ...Array.from(this.#rules, ([name, body]) => `${name} ::= ${body}`)].join('\n');
  }

  define(name: string, body: string): void {
    this.#rules.set(name, body);
    this.#size += body.length;
    if (this.#size > MAX_SIZE || this.#rules.size > MAX_RULES) this.tooLarge();
  }

  /** A new rule; returns its name. */
  add(body: string): string {
    const name = `part_${this.#rules.size}`;
    this.define(name, body);
    return name;
  }

  /** The rule of this name, which is always the same. */
  shared(name: string, body: string): string {
    if (!this.#rules.has(name)) this.define(name, body);
    return name;
  }

  /** A rule of JSON itself, with those that it uses. */
  json(name: string): string {
    const body = JSON_RULES[name];
    if (!this.#rules.has(name)) {
      this.define(name, body);
      for (const used of Object.keys(JSON_RULES)) {
        if (used !== name && new RegExp(`\\b${used}\\b`).test(body.replace(/"(?:[^"\\]|\\.)*"/g, ''))) this.json(used);
      }
    }
    return name;
  }

  /** An expression `least` to `most` times; undefined: any number of times. */
  repeated(expression: string, least: number, most: number | undefined): string {
    if (most === 0) return '""';
    const longest = most ?? least;
    if (longest <= FEW) return `${expression}{${least},${most ?? ''}}`;
    // XGrammar puts a rule that uses no others where it is used: two of them keep it from that.
    const step = longest <= MANY ? expression : this.#named(this.#named(expression));
    const rest = most === undefined ? this.#named(`${expression}*`) : '""';
    return this.#counted(step, least, longest, rest);
  }

  /** Equal rests of different counts are one rule. */
  #counted(once: string, least: number, most: number, rest: string): string {
    let follows = rest;
    for (let left = 1; left <= most; left++) {
      const must = left > most - least;
      const body = must ? `${once} ${follows}` : `"" | ${once} ${follows}`;
      follows = this.#named(body);
    }
    return follows;
  }

  #named(body: string): string {
    const known = this.#names.get(body);
    if (known !== undefined) return known;
    const name = this.add(body);
    this.#names.set(body, name);
    return name;
  }
}
