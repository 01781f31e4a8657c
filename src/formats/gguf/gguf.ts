import { InvalidFileError } from '../../errors';
import type { TokenizerFiles } from '../tokenizer_files';
import type { GgmlType } from './ggml_types';

export type { ByteSource } from '../byte_source';

export type GgufSmallNumberType = 'u8' | 'i8' | 'u16' | 'i16' | 'u32' | 'i32' | 'f32' | 'f64';
export type GgufBigNumberType = 'u64' | 'i64';
export type GgufValueType = GgufSmallNumberType | GgufBigNumberType | 'bool' | 'string' | 'array';

export type NumberArray =
  | Uint8Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;

export type GgufArray =
  | { readonly itemType: GgufSmallNumberType; readonly items: NumberArray }
  | { readonly itemType: GgufBigNumberType; readonly items: BigUint64Array<ArrayBuffer> | BigInt64Array<ArrayBuffer> }
  | { readonly itemType: 'bool'; readonly items: readonly boolean[] }
  | { readonly itemType: 'string'; readonly items: readonly string[] }
  | { readonly itemType: 'array'; readonly items: readonly GgufArray[] };

/** A metadata value with the type that the file gave it. A 64-bit integer is a bigint only where a number would round it. */
export type GgufValue =
  | { readonly type: GgufSmallNumberType; readonly value: number }
  | { readonly type: GgufBigNumberType; readonly value: number | bigint }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'array'; readonly value: GgufArray };

export interface GgufTensor {
  readonly name: string;
  readonly type: GgmlType;
  /** What its bytes are in, where that is not `type`: floats that are quantised while they are loaded. */
  readonly storedType?: GgmlType;
  /** 1 to 4 sizes in GGUF's order: the one that lies together in memory first. A matrix is [cols, rows]. */
  readonly shape: readonly number[];
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface GgufMetadata {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** What describes the tokenizer where the metadata does not: a model that was read from a Hugging Face repository. */
  readonly tokenizer?: TokenizerFiles;
}

/** The header of a GGUF file (ggml's docs/gguf.md), checked in full: every tensor lies in the file, none overlap. */
export interface Gguf extends GgufMetadata {
  readonly version: 2 | 3;
  /** Bytes that every tensor's offset is a multiple of. */
  readonly alignment: number;
  /** By name, in the order of the file's list. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** Where tensor data begins, in bytes from the start of the file. */
  readonly dataOffset: number;
}

function describeType(value: GgufValue): string {
  return value.type === 'array' ? `an array of ${value.value.itemType}` : value.type;
}

function mismatch(key: string, expected: string, found: string): InvalidFileError {
  return new InvalidFileError(`metadata key "${key}": expected ${expected}, found ${found}`, {
    details: { key, expected, found },
  });
}

function required<T>(key: string, expected: string, value: T | undefined): T {
  if (value === undefined) throw mismatch(key, expected, 'nothing');
  return value;
}

/** The string under `key`; undefined when the key is absent, InvalidFileError when it holds something else. */
export function optionalString(gguf: GgufMetadata, key: string): string | undefined {
  const found = gguf.metadata.get(key);
  if (!found) return undefined;
  if (found.type !== 'string') throw mismatch(key, 'a string', describeType(found));
  return found.value;
}

/** The number of any width under `key`; undefined when the key is absent, InvalidFileError when it is none or not exact. */
export function optionalNumber(gguf: GgufMetadata, key: string): number | undefined {
  const found = gguf.metadata.get(key);
  if (!found) return undefined;
  if (found.type === 'bool' || found.type === 'string' || found.type === 'array') {
    throw mismatch(key, 'a number', describeType(found));
  }
  if (typeof found.value === 'bigint') throw mismatch(key, 'a number below 2^53', String(found.value));
  return found.value;
}

export function optionalBool(gguf: GgufMetadata, key: string): boolean | undefined {
  const found = gguf.metadata.get(key);
  if (!found) return undefined;
  if (found.type !== 'bool') throw mismatch(key, 'a bool', describeType(found));
  return found.value;
}

export function optionalStringArray(gguf: GgufMetadata, key: string): readonly string[] | undefined {
  const found = gguf.metadata.get(key);
  if (!found) return undefined;
  if (found.type !== 'array') throw mismatch(key, 'an array of string', describeType(found));
  const array = found.value;
  if (array.itemType === 'string') return array.items;
  // Writers give an empty list the type of whatever came first to hand.
  if (array.items.length === 0) return [];
  throw mismatch(key, 'an array of string', describeType(found));
}

/** An array of numbers as the file's own typed array (64-bit integers as f64, which must be exact). */
export function optionalNumberArray(gguf: GgufMetadata, key: string): NumberArray | undefined {
  const found = gguf.metadata.get(key);
  if (!found) return undefined;
  if (found.type !== 'array') throw mismatch(key, 'an array of numbers', describeType(found));
  const array = found.value;
  if (array.items.length === 0) return new Float64Array(0);
  switch (array.itemType) {
    case 'bool':
    case 'string':
    case 'array':
      throw mismatch(key, 'an array of numbers', describeType(found));
    case 'u64':
    case 'i64':
      return Float64Array.from(array.items as ArrayLike<bigint>, (item) => {
        const value = Number(item);
        if (!Number.isSafeInteger(value)) throw mismatch(key, 'numbers below 2^53', String(item));
        return value;
      });
    default:
      return array.items;
  }
}

export function getString(gguf: GgufMetadata, key: string): string {
  return required(key, 'a string', optionalString(gguf, key));
}

export function getNumber(gguf: GgufMetadata, key: string): number {
  return required(key, 'a number', optionalNumber(gguf, key));
}

export function getBool(gguf: GgufMetadata, key: string): boolean {
  return required(key, 'a bool', optionalBool(gguf, key));
}

export function getStringArray(gguf: GgufMetadata, key: string): readonly string[] {
  return required(key, 'an array of string', optionalStringArray(gguf, key));
}

export function getNumberArray(gguf: GgufMetadata, key: string): NumberArray {
  return required(key, 'an array of numbers', optionalNumberArray(gguf, key));
}
