import { InvalidFileError } from '../../errors';
import { messageOf } from '../../errors/message_of';

/** An object of a JSON file whose fields are read by name and checked; a missing field and null are the same. */
export class Fields {
  readonly where: string;
  readonly #object: object;

  /** @throws InvalidFileError when the value is no object. */
  constructor(value: unknown, where: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mismatch(where, 'an object', value);
    this.where = where;
    this.#object = value;
  }

  /** @throws InvalidFileError when the text is no JSON, or no object. */
  static parse(text: string, file: string): Fields {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      const message = messageOf(cause);
      throw new InvalidFileError(`${file}: no JSON: ${message.slice(0, 200)}`, { details: { file }, cause });
    }
    return new Fields(value, file);
  }

  value(key: string): unknown {
    return Object.hasOwn(this.#object, key) ? (this.#object as Record<string, unknown>)[key] : undefined;
  }

  has(key: string): boolean {
    return (this.value(key) ?? null) !== null;
  }

  entries(): [string, unknown][] {
    return Object.entries(this.#object);
  }

  optionalText(key: string): string | undefined {
    return this.#optional(key, 'a string', (value): value is string => typeof value === 'string');
  }

  text(key: string): string {
    return this.#required(key, 'a string', this.optionalText(key));
  }

  flag(key: string, fallback: boolean): boolean {
    return this.#optional(key, 'true or false', (value): value is boolean => typeof value === 'boolean') ?? fallback;
  }

  optionalCount(key: string): number | undefined {
    return this.#optional(key, 'a whole number', isCount);
  }

  count(key: string): number {
    return this.#required(key, 'a whole number', this.optionalCount(key));
  }

  optionalList(key: string): readonly unknown[] | undefined {
    return this.#optional(key, 'a list', (value): value is unknown[] => Array.isArray(value));
  }

  list(key: string): readonly unknown[] {
    return this.#required(key, 'a list', this.optionalList(key));
  }

  optionalChild(key: string): Fields | undefined {
    return this.has(key) ? new Fields(this.value(key), this.at(key)) : undefined;
  }

  child(key: string): Fields {
    return this.#required(key, 'an object', this.optionalChild(key));
  }

  children(key: string): readonly Fields[] {
    return this.list(key).map((item, i) => new Fields(item, `${this.at(key)}[${i}]`));
  }

  at(key: string): string {
    return this.where.includes(':') ? `${this.where}.${key}` : `${this.where}: ${key}`;
  }

  #optional<T>(key: string, expected: string, is: (value: unknown) => value is T): T | undefined {
    if (!this.has(key)) return undefined;
    const value = this.value(key);
    if (!is(value)) throw mismatch(this.at(key), expected, value);
    return value;
  }

  #required<T>(key: string, expected: string, value: T | undefined): T {
    if (value === undefined) throw mismatch(this.at(key), expected, undefined);
    return value;
  }
}

export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100));
  if (Array.isArray(value))
    return value.length > 4 ? `a list of ${value.length}` : `[${value.map(showItem).join(', ')}]`;
  return typeof value === 'number' || typeof value === 'boolean' || value === null ? String(value) : 'an object';
}

function showItem(value: unknown): string {
  return typeof value === 'object' && value !== null ? '…' : show(value);
}

/** The error for a place in a file that holds something else than it should. */
export function mismatch(where: string, expected: string, found: unknown): InvalidFileError {
  const shown = show(found);
  return new InvalidFileError(`${where}: expected ${expected}, found ${shown}`, {
    details: { where, expected, found: shown },
  });
}
