import { GGML_TYPES, type GgmlType } from '../../src/formats/gguf/ggml_types';

/** The number that a GGUF file gives each value type. */
const VALUE_IDS = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;

type ScalarType = Exclude<keyof typeof VALUE_IDS, 'array'>;
type Scalar = number | bigint | boolean | string | Uint8Array;
export interface WrittenArray {
  readonly itemType: keyof typeof VALUE_IDS;
  readonly items: readonly (Scalar | WrittenArray)[];
}
export type WrittenValue =
  | { readonly type: ScalarType; readonly value: Scalar }
  | { readonly type: 'array'; readonly value: WrittenArray };

export interface WrittenTensor {
  readonly name: string | Uint8Array;
  readonly type: GgmlType;
  /** GGUF's order: the fastest dimension first. */
  readonly shape: readonly number[];
  /** Zeros when left out. */
  readonly data?: Uint8Array;
  /** Lies: what the header says instead of the truth. */
  readonly says?: {
    readonly dimensions?: number;
    readonly shape?: readonly bigint[];
    readonly typeId?: number;
    readonly offset?: bigint;
  };
}

export interface WrittenGguf {
  readonly metadata?: readonly (readonly [key: string | Uint8Array, value: WrittenValue])[];
  readonly tensors?: readonly WrittenTensor[];
  readonly alignment?: number;
  /** Lies about the file as a whole. */
  readonly says?: {
    readonly magic?: string;
    readonly version?: number;
    readonly bigEndian?: boolean;
    readonly tensorCount?: bigint;
    readonly keyCount?: bigint;
  };
}

export const written = {
  string: (value: string | Uint8Array): WrittenValue => ({ type: 'string', value }),
  u32: (value: number): WrittenValue => ({ type: 'u32', value }),
  f32: (value: number): WrittenValue => ({ type: 'f32', value }),
  bool: (value: boolean): WrittenValue => ({ type: 'bool', value }),
  array: (itemType: keyof typeof VALUE_IDS, items: WrittenArray['items']): WrittenValue => ({
    type: 'array',
    value: { itemType, items },
  }),
};

/** Bytes that grow; little-endian unless told otherwise. */
export class ByteWriter {
  private bytes = new Uint8Array(1 << 12);
  private view = new DataView(this.bytes.buffer);
  length = 0;

  constructor(private readonly littleEndian = true) {}

  raw(bytes: Uint8Array): this {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length - bytes.length);
    return this;
  }

  u32(value: number): this {
    this.reserve(4);
    this.view.setUint32(this.length - 4, value, this.littleEndian);
    return this;
  }

  u64(value: bigint | number): this {
    this.reserve(8);
    this.view.setBigUint64(this.length - 8, BigInt(value), this.littleEndian);
    return this;
  }

  string(value: string | Uint8Array): this {
    const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
    return this.u64(bytes.length).raw(bytes);
  }

  padTo(alignment: number): this {
    return this.raw(new Uint8Array((alignment - (this.length % alignment)) % alignment));
  }

  scalar(type: ScalarType, value: Scalar): this {
    switch (type) {
      case 'string':
        return this.string(value as string | Uint8Array);
      case 'bool':
        return this.raw(Uint8Array.of(Number(value)));
      case 'u8':
      case 'i8':
        return this.raw(Uint8Array.of(Number(value) & 0xff));
      case 'u16':
      case 'i16':
        this.reserve(2);
        this.view.setUint16(this.length - 2, Number(value) & 0xffff, this.littleEndian);
        return this;
      case 'u32':
      case 'i32':
        return this.u32(Number(value) >>> 0);
      case 'f32':
        this.reserve(4);
        this.view.setFloat32(this.length - 4, Number(value), this.littleEndian);
        return this;
      case 'f64':
        this.reserve(8);
        this.view.setFloat64(this.length - 8, Number(value), this.littleEndian);
        return this;
      default:
        return this.u64(BigInt.asUintN(64, value as bigint));
    }
  }

  array({ itemType, items }: WrittenArray): this {
    this.u32(VALUE_IDS[itemType]).u64(items.length);
    for (const item of items) {
      if (itemType === 'array') this.array(item as WrittenArray);
      else this.scalar(itemType, item as Scalar);
    }
    return this;
  }

  value(value: WrittenValue): this {
    this.u32(VALUE_IDS[value.type]);
    return value.type === 'array' ? this.array(value.value) : this.scalar(value.type, value.value);
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length);
  }

  private reserve(bytes: number): void {
    this.length += bytes;
    if (this.length <= this.bytes.length) return;
    const larger = new Uint8Array(2 * this.length);
    larger.set(this.bytes);
    this.bytes = larger;
    this.view = new DataView(larger.buffer);
  }
}

export function tensorBytes(type: GgmlType, shape: readonly number[]): number {
  const { blockSize, blockBytes } = GGML_TYPES[type];
  return (shape.reduce((product, size) => product * size, 1) / blockSize) * blockBytes;
}

/** The header alone, up to and with the padding before the data. */
export function writeGgufHeader(file: WrittenGguf): Uint8Array<ArrayBuffer> {
  const { metadata = [], tensors = [], alignment = 32, says = {} } = file;
  const out = new ByteWriter(!says.bigEndian);
  out.raw(new TextEncoder().encode(says.magic ?? 'GGUF')).u32(says.version ?? 3);
  out.u64(says.tensorCount ?? tensors.length).u64(says.keyCount ?? metadata.length);
  for (const [key, value] of metadata) out.string(key).value(value);
  let offset = 0;
  for (const { name, type, shape, says: lies = {} } of tensors) {
    out.string(name).u32(lies.dimensions ?? shape.length);
    for (const size of lies.shape ?? shape) out.u64(size);
    out.u32(lies.typeId ?? GGML_TYPES[type].id).u64(lies.offset ?? offset);
    offset = Math.ceil((offset + tensorBytes(type, shape)) / alignment) * alignment;
  }
  return out.padTo(alignment).finish();
}

/** A GGUF file, right or (by its `says` fields) wrong on purpose. */
export function writeGguf(file: WrittenGguf): Uint8Array<ArrayBuffer> {
  const { tensors = [], alignment = 32 } = file;
  const out = new ByteWriter().raw(writeGgufHeader(file));
  for (const { type, shape, data } of tensors) {
    out.raw(data ?? new Uint8Array(tensorBytes(type, shape))).padTo(alignment);
  }
  return out.finish();
}
