import type { GgufArray, GgufBigNumberType, GgufSmallNumberType, GgufValue, GgufValueType, NumberArray } from './gguf';
import type { HeaderReader } from './header_reader';

const MAX_KEYS = 100_000;
const MAX_NAME_BYTES = 65_535;
const MAX_NESTING = 4;
/** Arrays within arrays, over the whole file: an empty one takes 12 bytes in the file and ten times that in memory. */
const MAX_NESTED_ARRAYS = 100_000;
/** Numbers are taken in pieces of this many bytes, so that the window stays small. A multiple of every item's size. */
const PIECE_BYTES = 1 << 20;

/** In the order of their numbers in a file. */
const VALUE_TYPES: readonly GgufValueType[] = [
  'u8',
  'i8',
  'u16',
  'i16',
  'u32',
  'i32',
  'f32',
  'bool',
  'string',
  'array',
  'u64',
  'i64',
  'f64',
];

const ITEM_BYTES = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  string: 8,
  array: 12,
  u64: 8,
  i64: 8,
  f64: 8,
} as const satisfies Record<GgufValueType, number>;

const NUMBER_ARRAYS = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
  f64: Float64Array,
} as const satisfies Record<GgufSmallNumberType, new (buffer: ArrayBuffer) => NumberArray>;

interface Budget {
  nestedArrays: number;
}

/** A key or tensor name: not empty, at most 65,535 bytes. */
export async function readName(reader: HeaderReader): Promise<string> {
  const name = await reader.string(MAX_NAME_BYTES);
  if (name === '') throw reader.fail('the name is empty');
  return name;
}

/** The key-value pairs of a header; `reader` stands after the counts. */
export async function readMetadata(reader: HeaderReader, count: number): Promise<Map<string, GgufValue>> {
  const metadata = new Map<string, GgufValue>();
  const budget: Budget = { nestedArrays: MAX_NESTED_ARRAYS };
  for (let i = 0; i < count; i++) {
    reader.place = `metadata key ${i} of ${count}`;
    const key = await readName(reader);
    reader.place = `metadata key "${key}"`;
    if (metadata.has(key)) throw reader.fail('the key is there twice');
    metadata.set(key, await readValue(reader, await readType(reader), budget));
  }
  return metadata;
}

/** How many pairs a header has: an empty name, a type and one byte of value are the least that a pair can be. */
export function readKeyCount(reader: HeaderReader): Promise<number> {
  return reader.count('metadata keys', MAX_KEYS, 8 + 4 + 1);
}

async function readType(reader: HeaderReader): Promise<GgufValueType> {
  await reader.need(4);
  const offset = reader.offset;
  const id = reader.u32();
  const type = VALUE_TYPES[id];
  if (!type) throw reader.fail(`unknown value type ${id}`, offset);
  return type;
}

async function readValue(reader: HeaderReader, type: GgufValueType, budget: Budget): Promise<GgufValue> {
  switch (type) {
    case 'array':
      return { type, value: await readArray(reader, 1, budget) };
    case 'string':
      return { type, value: await reader.string() };
    case 'bool':
      await reader.need(1);
      return { type, value: takeBool(reader) };
    default:
      await reader.need(ITEM_BYTES[type]);
      return { type, value: reader[type]() } as GgufValue;
  }
}

function takeBool(reader: HeaderReader): boolean {
  const byte = reader.u8();
  if (byte > 1) throw reader.fail(`a bool is ${byte}, expected 0 or 1`, reader.offset - 1);
  return byte === 1;
}

async function readArray(reader: HeaderReader, nesting: number, budget: Budget): Promise<GgufArray> {
  if (nesting > MAX_NESTING) throw reader.fail(`arrays are nested deeper than ${MAX_NESTING}`);
  const itemType = await readType(reader);
  const count = await reader.count(`items of type ${itemType}`, Number.MAX_SAFE_INTEGER, ITEM_BYTES[itemType]);
  reader.expectInHeader(count * ITEM_BYTES[itemType]);
  switch (itemType) {
    case 'array':
      return { itemType, items: await readArrays(reader, count, nesting, budget) };
    case 'string':
      return { itemType, items: await readStrings(reader, count) };
    case 'bool':
      return { itemType, items: await readBools(reader, count) };
    case 'u64':
    case 'i64':
      return { itemType, items: await readBigNumbers(reader, itemType, count) };
    default: {
      const buffer = await readBytes(reader, count * ITEM_BYTES[itemType]);
      return { itemType, items: new NUMBER_ARRAYS[itemType](buffer) };
    }
  }
}

async function readArrays(
  reader: HeaderReader,
  count: number,
  nesting: number,
  budget: Budget,
): Promise<readonly GgufArray[]> {
  budget.nestedArrays -= count;
  if (budget.nestedArrays < 0) throw reader.fail(`more than ${MAX_NESTED_ARRAYS} nested arrays`);
  const items: GgufArray[] = [];
  for (let i = 0; i < count; i++) items.push(await readArray(reader, nesting + 1, budget));
  return items;
}

async function readStrings(reader: HeaderReader, count: number): Promise<readonly string[]> {
  const items: string[] = [];
  for (let i = 0; i < count; i++) items.push(reader.stringAtHand() ?? (await reader.string()));
  return items;
}

async function readBools(reader: HeaderReader, count: number): Promise<readonly boolean[]> {
  const items: boolean[] = [];
  for (let i = 0; i < count; i++) {
    if (reader.available === 0) await reader.need(1);
    items.push(takeBool(reader));
  }
  return items;
}

async function readBigNumbers(
  reader: HeaderReader,
  itemType: GgufBigNumberType,
  count: number,
): Promise<BigUint64Array<ArrayBuffer> | BigInt64Array<ArrayBuffer>> {
  const buffer = await readBytes(reader, 8 * count);
  return itemType === 'u64' ? new BigUint64Array(buffer) : new BigInt64Array(buffer);
}

/** Raw little-endian bytes, which is also the order in memory of every machine that has WebGPU. */
async function readBytes(reader: HeaderReader, length: number): Promise<ArrayBuffer> {
  const out = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const piece = Math.min(PIECE_BYTES, length - at);
    await reader.need(piece);
    out.set(reader.take(piece), at);
    at += piece;
  }
  return out.buffer;
}
