import { InvalidFileError, UnsupportedModelError } from '../../errors';
import { isJsonObject, type JsonObject, type JsonValue } from '../strict_json';

/** A config.json with typed reads that name the key when its value is missing, of the wrong type, or not supported. */
export class Config {
  constructor(
    private readonly json: JsonObject,
    /** What messages call it. */
    readonly file: string,
    private readonly path = '',
  ) {}

  /** The model's own part of a configuration that holds several ("text_config" beside a vision tower). */
  nested(key: string): Config | undefined {
    const value = this.json.get(key);
    return isJsonObject(value) ? new Config(value, this.file, `${this.path}${key}.`) : undefined;
  }

  /** Whether the key is there with a value other than null. */
  has(key: string): boolean {
    const value = this.json.get(key);
    return value !== undefined && value !== null;
  }

  integer(key: string, fallback?: number): number {
    const value = this.present(key) ?? fallback;
    if (!Number.isSafeInteger(value) || (value as number) < 1) throw this.wrong(key, 'a positive integer', value);
    return value as number;
  }

  /** An integer that may be 0. */
  count(key: string, fallback = 0): number {
    return this.present(key) === 0 ? 0 : this.has(key) || fallback !== 0 ? this.integer(key, fallback) : 0;
  }

  optionalInteger(key: string): number | undefined {
    return this.has(key) ? this.integer(key) : undefined;
  }

  real(key: string, fallback?: number): number {
    const value = this.present(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.wrong(key, 'a number', value);
    return value;
  }

  optionalReal(key: string): number | undefined {
    return this.has(key) ? this.real(key) : undefined;
  }

  text(key: string, fallback?: string): string {
    const value = this.present(key) ?? fallback;
    if (typeof value !== 'string') throw this.wrong(key, 'a string', value);
    return value;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.present(key) ?? fallback;
    if (typeof value !== 'boolean') throw this.wrong(key, 'true or false', value);
    return value;
  }

  /** A list; undefined where there is none. */
  list(key: string): readonly JsonValue[] | undefined {
    const value = this.present(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) throw this.wrong(key, 'a list', value);
    return value as readonly JsonValue[];
  }

  /** Refuses a value that means something else than what is supported. An absent key passes. */
  expect(key: string, allowed: readonly JsonValue[]): void {
    const value = this.present(key);
    if (value === undefined || allowed.includes(value)) return;
    throw this.unsupported(`${this.path}${key} = ${shortened(value)} is not supported`);
  }

  unsupported(message: string): UnsupportedModelError {
    return new UnsupportedModelError(`${this.file}: ${message}`, { details: { file: this.file } });
  }

  invalid(message: string): InvalidFileError {
    return new InvalidFileError(`${this.file}: ${message}`, { details: { file: this.file } });
  }

  private present(key: string): JsonValue | undefined {
    return this.json.get(key) ?? undefined;
  }

  private wrong(key: string, expected: string, found: JsonValue | undefined): InvalidFileError {
    const what = found === undefined ? 'nothing' : shortened(found);
    return this.invalid(`"${this.path}${key}": expected ${expected}, found ${what}`);
  }
}

function shortened(value: JsonValue): string {
  if (value instanceof Map) return 'an object';
  if (Array.isArray(value)) return 'a list';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
