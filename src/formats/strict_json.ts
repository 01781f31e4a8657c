/**
 * JSON (RFC 8259) of files that come from anywhere: duplicate keys and deep nesting are refused, objects become maps, so that no key
 * ("__proto__") means anything to JavaScript. Numbers are doubles.
 */
import { InvalidFileError } from '../errors';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export type JsonObject = ReadonlyMap<string, JsonValue>;

const MAX_DEPTH = 32;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
/** A whole string that needs no unescaping, which most do not: printable ASCII and what lies beyond. */
const PLAIN_STRING = /"([ !#-[\]-\uffff]*)"/y;
const ANY_STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/y;
const SPACE = /[ \t\n\r]*/y;

/**
 * Parses UTF-8, which may begin with a byte order mark; `file` is what messages call it. Throws InvalidFileError with the place of what is wrong.
 */
export function parseStrictJsonBytes(bytes: Uint8Array, file: string): JsonValue {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new InvalidFileError(`${file}: not valid UTF-8`, { details: { file }, cause });
  }
  return new Parser(text, file).whole();
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return value instanceof Map;
}

class Parser {
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly file: string,
  ) {}

  whole(): JsonValue {
    const value = this.value(0);
    this.skipSpace();
    if (this.at < this.text.length) throw this.fail('something follows the JSON value');
    return value;
  }

  private value(depth: number): JsonValue {
    this.skipSpace();
    switch (this.text[this.at]) {
      case '{':
        return this.object(depth + 1);
      case '[':
        return this.array(depth + 1);
      case '"':
        return this.string();
      case 't':
        return this.word('true', true);
      case 'f':
        return this.word('false', false);
      case 'n':
        return this.word('null', null);
      default:
        return this.number();
    }
  }

  private object(depth: number): JsonObject {
    this.checkDepth(depth);
    const entries = new Map<string, JsonValue>();
    this.at++;
    if (this.takes('}')) return entries;
    do {
      this.skipSpace();
      const start = this.at;
      if (this.text[start] !== '"') throw this.fail('expected a key');
      const key = this.string();
      if (entries.has(key)) throw this.fail(`the key ${JSON.stringify(key)} is there twice`, start);
      if (!this.takes(':')) throw this.fail(`expected ":" after ${JSON.stringify(key)}`);
      entries.set(key, this.value(depth));
    } while (this.takes(','));
    if (!this.takes('}')) throw this.fail('expected "," or "}"');
    return entries;
  }

  private array(depth: number): readonly JsonValue[] {
    this.checkDepth(depth);
    const items: JsonValue[] = [];
    this.at++;
    if (this.takes(']')) return items;
    do items.push(this.value(depth));
    while (this.takes(','));
    if (!this.takes(']')) throw this.fail('expected "," or "]"');
    return items;
  }

  private string(): string {
    PLAIN_STRING.lastIndex = this.at;
    const plain = PLAIN_STRING.exec(this.text);
    if (plain) {
      this.at = PLAIN_STRING.lastIndex;
      return plain[1];
    }
    ANY_STRING.lastIndex = this.at;
    const escaped = ANY_STRING.exec(this.text);
    if (!escaped) throw this.fail('a string is broken');
    try {
      const text = JSON.parse(escaped[0]) as string;
      this.at = ANY_STRING.lastIndex;
      return text;
    } catch {
      throw this.fail('a string has a control character or an unknown escape');
    }
  }

  private number(): number {
    NUMBER.lastIndex = this.at;
    const match = NUMBER.exec(this.text);
    if (!match) throw this.fail(this.at < this.text.length ? 'expected a value' : 'the text ends too early');
    this.at = NUMBER.lastIndex;
    return Number(match[0]);
  }

  private word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) throw this.fail('expected a value');
    this.at += word.length;
    return value;
  }

  private takes(character: string): boolean {
    this.skipSpace();
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private skipSpace(): void {
    SPACE.lastIndex = this.at;
    SPACE.exec(this.text);
    this.at = SPACE.lastIndex;
  }

  private checkDepth(depth: number): void {
    if (depth > MAX_DEPTH) throw this.fail(`nested deeper than ${MAX_DEPTH}`);
  }

  private fail(problem: string, at = this.at): InvalidFileError {
    return new InvalidFileError(`${this.file}: ${problem} (at character ${at})`, {
      details: { file: this.file, offset: at },
    });
  }
}
