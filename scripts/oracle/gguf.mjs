/** Writes GGUF files (ggml's docs/gguf.md), as far as fixtures need. */

const VALUE_TYPES = { u8: 0, u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 };
const ALIGNMENT = 32;

class Bytes {
  parts = [];
  length = 0;

  raw(bytes) {
    this.parts.push(bytes);
    this.length += bytes.length;
    return this;
  }

  view(size, write) {
    const bytes = Buffer.alloc(size);
    write(bytes);
    return this.raw(bytes);
  }

  u32(value) {
    return this.view(4, (bytes) => bytes.writeUInt32LE(value));
  }

  u64(value) {
    return this.view(8, (bytes) => bytes.writeBigUInt64LE(BigInt(value)));
  }

  string(text) {
    const bytes = Buffer.from(text, 'utf8');
    return this.u64(bytes.length).raw(bytes);
  }

  scalar(type, value) {
    if (type === 'string') return this.string(value);
    if (type === 'bool') return this.raw(Buffer.of(value ? 1 : 0));
    if (type === 'f32') return this.view(4, (bytes) => bytes.writeFloatLE(value));
    if (type === 'u8') return this.raw(Buffer.of(value));
    if (type === 'i32') return this.view(4, (bytes) => bytes.writeInt32LE(value));
    return this.u32(value);
  }

  pad() {
    return this.raw(Buffer.alloc((ALIGNMENT - (this.length % ALIGNMENT)) % ALIGNMENT));
  }
}

/** 3 → u32, 0.5 → f32, [..] → array; `real` and `integers` say it where a number does not show it. */
function typed(value) {
  if (typeof value === 'string') return { type: 'string', value };
  if (typeof value === 'boolean') return { type: 'bool', value };
  if (typeof value === 'number') return { type: Number.isInteger(value) ? 'u32' : 'f32', value };
  if (Array.isArray(value))
    return { type: 'array', itemType: value.length > 0 ? typed(value[0]).type : 'string', value };
  return value;
}

/** A number that is stored as f32 although it is whole. */
export const real = (value) => ({ type: 'f32', value });

/** A list of signed integers. */
export const integers = (value) => ({ type: 'array', itemType: 'i32', value });

/**
 * `metadata`: key → value. `tensors`: name → { shape, data } with the shape in GGUF's order (what lies together first) and data a
 * Float32Array, or { shape, data, type } with ggml's number of the storage type and encoded bytes.
 */
export function writeGguf(metadata, tensors) {
  const out = new Bytes();
  const names = Object.keys(tensors);
  const keys = Object.entries(metadata);
  out.raw(Buffer.from('GGUF')).u32(3).u64(names.length).u64(keys.length);
  for (const [key, raw] of keys) {
    const { type, itemType, value } = typed(raw);
    out.string(key).u32(VALUE_TYPES[type]);
    if (type !== 'array') out.scalar(type, value);
    else {
      out.u32(VALUE_TYPES[itemType]).u64(value.length);
      for (const item of value) out.scalar(itemType, item);
    }
  }
  let offset = 0;
  for (const name of names) {
    const { shape, data, type = 0 } = tensors[name];
    out.string(name).u32(shape.length);
    for (const size of shape) out.u64(size);
    out.u32(type).u64(offset);
    offset = Math.ceil((offset + data.byteLength) / ALIGNMENT) * ALIGNMENT;
  }
  out.pad();
  for (const name of names) {
    const { data } = tensors[name];
    out.raw(Buffer.from(data.buffer, data.byteOffset, data.byteLength)).pad();
  }
  return Buffer.concat(out.parts);
}
