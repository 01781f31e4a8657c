/** The quantised KV types in JavaScript: what shaders/kv/*_q8_0.wgsl and *_q4_0.wgsl do, for the reference executor and tests. */
import { halfToNumber, numberToHalf } from '../formats/half';
import { kvBlockSize, kvValueBytes } from './kv_layout';
import type { KvType } from './op';

interface Block {
  readonly scale: number;
  /** As they lie in the cache: q4_0's are eight more than they stand for. */
  readonly codes: readonly number[];
}

/** The scale is that by which the value of largest magnitude becomes ±127 (q8_0), or, with its sign, -8 (q4_0). */
function quantised(values: Float32Array, kvType: 'q8_0' | 'q4_0'): Block {
  let extreme = 0;
  for (const value of values) if (Math.abs(value) > Math.abs(extreme)) extreme = value;
  if (kvType === 'q8_0') {
    const inverse = extreme === 0 ? 0 : 127 / Math.abs(extreme);
    return {
      scale: Math.fround(Math.abs(extreme) / 127),
      codes: Array.from(values, (value) => Math.round(value * inverse)),
    };
  }
  const inverse = extreme === 0 ? 0 : -8 / extreme;
  return {
    scale: Math.fround(extreme / -8),
    codes: Array.from(values, (value) => Math.min(15, Math.floor(value * inverse + 8.5))),
  };
}

/**
 * `values` (whole heads) as a cache of this type gives them back. f16 is left as it is: the reference executor keeps f16 tensors in f32.
 */
export function kvRounded(values: Float32Array, kvType: KvType): Float32Array {
  if (kvType === 'f32' || kvType === 'f16') return values;
  const size = kvBlockSize(kvType);
  const offset = kvType === 'q4_0' ? 8 : 0;
  const out = new Float32Array(values.length);
  for (let first = 0; first < values.length; first += size) {
    const { scale, codes } = quantised(values.subarray(first, first + size), kvType);
    for (const [i, code] of codes.entries()) out[first + i] = scale * (code - offset);
  }
  return out;
}

/** The bytes of cached values, as shaders/kv/read_*.wgsl read them. */
export function encodeKv(values: Float32Array, kvType: KvType): ArrayBuffer {
  const bytes = new ArrayBuffer(Math.ceil(kvValueBytes(kvType, values.length) / 4) * 4);
  if (kvType === 'f32') new Float32Array(bytes).set(values);
  else if (kvType === 'f16') new Uint16Array(bytes).set(Uint16Array.from(values, numberToHalf));
  else {
    const size = kvBlockSize(kvType);
    const blockBytes = kvValueBytes(kvType, size);
    const view = new DataView(bytes);
    for (let first = 0; first < values.length; first += size) {
      const at = (first / size) * blockBytes;
      const { scale, codes } = quantised(values.subarray(first, first + size), kvType);
      view.setFloat32(at, scale, true);
      for (const [i, code] of codes.entries()) {
        const byte = at + 4 + (kvType === 'q8_0' ? i : i >> 1);
        if (kvType === 'q8_0') view.setInt8(byte, code);
        else view.setUint8(byte, view.getUint8(byte) | (code << (4 * (i & 1))));
      }
    }
  }
  return bytes;
}

/** `count` cached values from their bytes. */
export function decodeKv(bytes: ArrayBuffer, kvType: KvType, count: number): Float32Array {
  if (kvType === 'f32') return new Float32Array(bytes, 0, count);
  if (kvType === 'f16') return Float32Array.from(new Uint16Array(bytes, 0, count), halfToNumber);
  const size = kvBlockSize(kvType);
  const blockBytes = kvValueBytes(kvType, size);
  const view = new DataView(bytes);
  return Float32Array.from({ length: count }, (_, index) => {
    const at = Math.floor(index / size) * blockBytes;
    const i = index % size;
    const code =
      kvType === 'q8_0' ? view.getInt8(at + 4 + i) : ((view.getUint8(at + 4 + (i >> 1)) >> (4 * (i & 1))) & 15) - 8;
    return view.getFloat32(at, true) * code;
  });
}
