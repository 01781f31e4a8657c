import { InvalidFileError } from '../../errors';
import type { ByteSource } from '../byte_source';
import { isJsonObject, type JsonObject, type JsonValue, parseStrictJsonBytes } from '../strict_json';

/** Bytes of a value of each dtype that the format has. */
const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
} as const;

export type SafetensorsDtype = keyof typeof DTYPE_BYTES;

export interface SafetensorsTensor {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  /** Outermost size first, as in PyTorch: a matrix is [rows, cols]. Empty for a scalar. */
  readonly shape: readonly number[];
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, SafetensorsTensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

const MAX_HEADER_BYTES = 100_000_000;
const MAX_TENSORS = 100_000;
const MAX_DIMENSIONS = 8;
const ENTRY_KEYS: readonly string[] = ['dtype', 'shape', 'data_offsets'];

/**
 * Reads and checks a safetensors file's header (its length in 8 bytes, then JSON, then the tensors without holes or overlaps).
 * Rejects with InvalidFileError naming the tensor and the byte, SourceError or AbortedError.
 */
export async function readSafetensors(source: ByteSource, signal?: AbortSignal): Promise<SafetensorsHeader> {
  const file = source.name;
  if (source.size < 8) throw fail(file, `the file ends here: 8 bytes expected, ${source.size} left`, 0);
  const length = new DataView((await source.read(0, 8, signal)).slice().buffer).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw fail(file, `not a safetensors file, or its header of ${length} bytes is over ${MAX_HEADER_BYTES}`, 0);
  }
  const dataStart = 8 + Number(length);
  if (dataStart > source.size) {
    throw fail(file, `the header's ${length} bytes end past the file's ${source.size}`, 0);
  }
  const bytes = await source.read(8, Number(length), signal);
  if (bytes[0] !== 0x7b) throw fail(file, 'the header does not begin with "{"', 8);
  const json = parseStrictJsonBytes(bytes, `${file}: the header`);
  if (!isJsonObject(json)) throw fail(file, 'the header is no JSON object', 8);
  return readEntries(json, file, dataStart, source.size);
}

function readEntries(json: JsonObject, file: string, dataStart: number, fileSize: number): SafetensorsHeader {
  const tensors = new Map<string, SafetensorsTensor>();
  let metadata: ReadonlyMap<string, string> = new Map();
  if (json.size > MAX_TENSORS) throw fail(file, `${json.size} tensors, at most ${MAX_TENSORS} are allowed`, 8);
  for (const [name, entry] of json) {
    if (name === '__metadata__') metadata = readMetadata(entry, file);
    else tensors.set(name, readEntry(name, entry, file, dataStart));
  }
  let end = dataStart;
  const inOrder = [...tensors.values()].sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  for (const tensor of inOrder) {
    if (tensor.offset !== end) {
      const what = tensor.offset < end ? 'it overlaps the tensor before it' : 'there is a hole before it';
      throw fail(file, `tensor "${tensor.name}": ${what}`, tensor.offset);
    }
    end += tensor.byteLength;
  }
  if (end !== fileSize) throw fail(file, `the tensors end at byte ${end}, the file at ${fileSize}`, end);
  return { tensors, metadata };
}

function readMetadata(entry: JsonValue, file: string): ReadonlyMap<string, string> {
  if (!isJsonObject(entry)) throw fail(file, '__metadata__ is no object', 8);
  const found = new Map<string, string>();
  for (const [key, value] of entry) {
    if (typeof value !== 'string') throw fail(file, `__metadata__: "${key}" is no string`, 8);
    found.set(key, value);
  }
  return found;
}

function readEntry(name: string, entry: JsonValue, file: string, dataStart: number): SafetensorsTensor {
  const wrong = (problem: string): InvalidFileError => fail(file, `tensor "${name}": ${problem}`, 8);
  if (!isJsonObject(entry)) throw wrong('its entry is no object');
  for (const key of entry.keys()) if (!ENTRY_KEYS.includes(key)) throw wrong(`unknown key "${key}"`);
  const dtype = entry.get('dtype');
  if (typeof dtype !== 'string' || !Object.hasOwn(DTYPE_BYTES, dtype)) {
    throw wrong(`unknown dtype ${JSON.stringify(dtype ?? null)}`);
  }
  const shape = integers(entry.get('shape'));
  if (!shape || shape.length > MAX_DIMENSIONS) throw wrong('its shape is no list of sizes');
  const offsets = integers(entry.get('data_offsets'));
  if (offsets?.length !== 2 || offsets[0] > offsets[1]) throw wrong('its data_offsets are no range');
  let values = 1;
  for (const size of shape) {
    if (size > 0 && values > Number.MAX_SAFE_INTEGER / 8 / size) throw wrong(`[${shape.join(', ')}] is too large`);
    values *= size;
  }
  const [begin, end] = offsets;
  const byteLength = values * DTYPE_BYTES[dtype as SafetensorsDtype];
  if (byteLength !== end - begin) {
    throw wrong(`[${shape.join(', ')}] in ${dtype} takes ${byteLength} bytes, its range has ${end - begin}`);
  }
  return { name, dtype: dtype as SafetensorsDtype, shape, offset: dataStart + begin, byteLength };
}

/** A list of integers from 0 to 2^53 - 1; undefined for anything else. */
function integers(value: JsonValue | undefined): number[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const items = value as readonly JsonValue[];
  return items.every((item) => Number.isSafeInteger(item) && (item as number) >= 0) ? (items as number[]) : undefined;
}

function fail(file: string, problem: string, offset: number): InvalidFileError {
  return new InvalidFileError(`${file}: ${problem} (at byte ${offset})`, { details: { file, offset } });
}
