import type { InvalidFileError } from '../../errors';
import type { ByteSource } from '../byte_source';
import { GGML_TYPES, ggmlTypeOfId } from './ggml_types';
import type { Gguf, GgufTensor, GgufValue } from './gguf';
import { HeaderReader } from './header_reader';
import { readKeyCount, readMetadata, readName } from './metadata_reader';

const MAGIC = 'GGUF';
const DEFAULT_ALIGNMENT = 32;
const MIN_ALIGNMENT = 8;
const MAX_ALIGNMENT = 1 << 20;
const MAX_TENSORS = 100_000;
const MAX_DIMENSIONS = 4;
/** Name length, dimension count, one dimension, type, offset. */
const MIN_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8;

/** A tensor as the list says it, before anyone knows where the data begins. */
interface TensorEntry extends Omit<GgufTensor, 'offset'> {
  readonly relativeOffset: number;
}

/**
 * Reads and checks the header of a GGUF file, version 2 or 3 (ggml's docs/gguf.md). Only the header is read, front to back,
 * through a window of a few MiB; no more than 128 MiB of it, whatever the file claims.
 * Rejects with InvalidFileError (what is wrong, in which key or tensor, at which byte), SourceError or AbortedError.
 */
export async function readGguf(source: ByteSource, options: { readonly signal?: AbortSignal } = {}): Promise<Gguf> {
  const reader = new HeaderReader(source, options.signal);
  const version = await readVersion(reader);
  const tensorCount = await reader.count('tensors', MAX_TENSORS, MIN_TENSOR_BYTES);
  const keyCount = await readKeyCount(reader);
  const metadata = await readMetadata(reader, keyCount);
  const alignment = alignmentOf(metadata, reader);
  const entries = new Map<string, TensorEntry>();
  for (let i = 0; i < tensorCount; i++) {
    reader.place = `tensor ${i} of ${tensorCount}`;
    const entry = await readTensor(reader, alignment);
    if (entries.has(entry.name)) throw reader.fail('the name is there twice');
    entries.set(entry.name, entry);
  }
  const dataOffset = Math.ceil(reader.offset / alignment) * alignment;
  return { version, alignment, metadata, tensors: placeTensors(reader, entries, dataOffset), dataOffset };
}

async function readVersion(reader: HeaderReader): Promise<2 | 3> {
  await reader.need(8);
  const magic = String.fromCharCode(...reader.take(4));
  if (magic !== MAGIC) throw reader.fail(`not a GGUF file: it starts with ${JSON.stringify(magic)}`, 0);
  const version = reader.u32();
  if (version === 2 || version === 3) return version;
  throw versionError(reader, version);
}

function versionError(reader: HeaderReader, version: number): InvalidFileError {
  const swapped = new DataView(new ArrayBuffer(4));
  swapped.setUint32(0, version, true);
  const bigEndian = swapped.getUint32(0);
  if (bigEndian >= 1 && bigEndian <= 3) return reader.fail(`the file is big-endian, which is not supported`, 4);
  return reader.fail(`GGUF version ${version} is not supported, only 2 and 3 are`, 4);
}

function placeTensors(
  reader: HeaderReader,
  entries: ReadonlyMap<string, TensorEntry>,
  dataOffset: number,
): Map<string, GgufTensor> {
  const placed = new Map<string, GgufTensor>();
  for (const { relativeOffset, ...entry } of entries.values()) {
    const offset = dataOffset + relativeOffset;
    if (offset + entry.byteLength > reader.size) {
      reader.place = `tensor "${entry.name}"`;
      throw reader.fail(`its ${entry.byteLength} bytes end past the file's ${reader.size}`, offset);
    }
    placed.set(entry.name, { ...entry, offset });
  }
  let previous: GgufTensor | undefined;
  for (const tensor of [...placed.values()].sort((a, b) => a.offset - b.offset)) {
    if (previous && tensor.offset < previous.offset + previous.byteLength) {
      reader.place = `tensor "${tensor.name}"`;
      throw reader.fail(`it overlaps tensor "${previous.name}"`, tensor.offset);
    }
    previous = tensor;
  }
  return placed;
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>, reader: HeaderReader): number {
  const found = metadata.get('general.alignment');
  if (!found) return DEFAULT_ALIGNMENT;
  reader.place = 'metadata key "general.alignment"';
  if (found.type !== 'u32') throw reader.fail(`expected u32, found ${found.type}`);
  const { value } = found;
  if (value < MIN_ALIGNMENT || value > MAX_ALIGNMENT || (value & (value - 1)) !== 0) {
    throw reader.fail(`${value} is no power of two from ${MIN_ALIGNMENT} to ${MAX_ALIGNMENT}`);
  }
  return value;
}

async function readTensor(reader: HeaderReader, alignment: number): Promise<TensorEntry> {
  const name = await readName(reader);
  reader.place = `tensor "${name}"`;
  await reader.need(4);
  const dimensions = reader.u32();
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
    throw reader.fail(`${dimensions} dimensions, expected 1 to ${MAX_DIMENSIONS}`, reader.offset - 4);
  }
  await reader.need(8 * dimensions + 12);
  const shape: number[] = [];
  let values = 1;
  for (let i = 0; i < dimensions; i++) {
    const size = reader.u64();
    if (typeof size === 'bigint' || size === 0 || size > Number.MAX_SAFE_INTEGER / values) {
      throw reader.fail(`dimension ${i} is ${size}: empty or too large`, reader.offset - 8);
    }
    values *= size;
    shape.push(size);
  }
  const id = reader.u32();
  const type = ggmlTypeOfId(id);
  if (!type) throw reader.fail(`unknown storage type ${id}`, reader.offset - 4);
  const { blockSize, blockBytes } = GGML_TYPES[type];
  if (shape[0] % blockSize !== 0) {
    throw reader.fail(`rows of ${shape[0]} values cannot be cut into ${type}'s blocks of ${blockSize}`);
  }
  const byteLength = (values / blockSize) * blockBytes;
  const relativeOffset = reader.u64();
  // Both are held against the file's size before they are added, so that the sum is exact.
  if (byteLength > reader.size) {
    throw reader.fail(`[${shape.join(', ')}] in ${type} takes ${byteLength} bytes, the file has ${reader.size}`);
  }
  if (typeof relativeOffset === 'bigint' || relativeOffset > reader.size) {
    throw reader.fail(`its offset ${relativeOffset} lies past the file's end`, reader.offset - 8);
  }
  if (relativeOffset % alignment !== 0) {
    throw reader.fail(`its offset ${relativeOffset} is no multiple of the alignment ${alignment}`, reader.offset - 8);
  }
  return { name, type, shape, byteLength, relativeOffset };
}
