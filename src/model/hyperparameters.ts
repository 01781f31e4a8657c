import { InvalidFileError, UnsupportedModelError } from '../errors';
import { type Gguf, getNumber, getString, optionalNumber } from '../formats/gguf/gguf';

/** A required metadata number of the file's architecture that must be a positive integer. */
export function positive(gguf: Gguf, key: string, fallback?: number): number {
  const value = fallback === undefined ? getNumber(gguf, key) : (optionalNumber(gguf, key) ?? fallback);
  if (!Number.isSafeInteger(value) || value <= 0) {
    const origin = gguf.metadata.has(key) ? '' : ' by what else the file says';
    throw new InvalidFileError(`${key} is ${value}${origin}, expected a positive integer`);
  }
  return value;
}

/** A required metadata number that must be finite and greater than zero. */
export function positiveReal(gguf: Gguf, key: string, fallback?: number): number {
  const value = fallback === undefined ? getNumber(gguf, key) : (optionalNumber(gguf, key) ?? fallback);
  if (!Number.isFinite(value) || value <= 0)
    throw new InvalidFileError(`${key} is ${value}, expected a positive number`);
  return value;
}

/** Throws when the file sets `key` to something else than what the code implements. */
export function expectAbsentOr(gguf: Gguf, key: string, allowed: readonly unknown[]): void {
  const value = gguf.metadata.get(key);
  if (value === undefined) return;
  const plain: unknown = value.type === 'array' ? 'an array' : value.value;
  if (!allowed.includes(plain)) {
    throw new UnsupportedModelError(`${key} = ${String(plain)} is not supported`);
  }
}

export function architectureOf(gguf: Gguf): string {
  return getString(gguf, 'general.architecture');
}
