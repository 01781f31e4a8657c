import { describe, expect, it } from 'vitest';
import { InvalidFileError } from '../../../src/errors';
import type { ByteSource } from '../../../src/formats/byte_source';
import { readGguf } from '../../../src/formats/gguf/read_gguf';
import { bufferSource } from '../../../src/storage/byte_source';
import { ByteWriter, type WrittenArray, type WrittenGguf, writeGguf, written } from '../../support/gguf_writer';

const small: WrittenGguf = {
  metadata: [
    ['general.architecture', written.string('llama')],
    ['__proto__', written.u32(7)],
    ['constructor', written.array('string', ['a', '', 'ĠΩ漢😀\u0000\ufeff'])],
  ],
  tensors: [
    { name: 'a', type: 'Q4_0', shape: [64, 3] },
    { name: 'b', type: 'F32', shape: [5], data: new Uint8Array(Float32Array.of(1, 2, 3, 4, 5).buffer) },
    { name: 'c', type: 'IQ1_M', shape: [256, 2, 1, 3] },
  ],
};

function read(file: WrittenGguf) {
  return readGguf(bufferSource(writeGguf(file), 'x.gguf'));
}

async function failure(bytes: Uint8Array<ArrayBuffer>): Promise<InvalidFileError> {
  const error: unknown = await readGguf(bufferSource(bytes, 'x.gguf')).then(
    () => 'read without complaint',
    (reason: unknown) => reason,
  );
  if (!(error instanceof InvalidFileError)) throw error;
  expect(error.message).toMatch(/^x\.gguf: /);
  expect(error.details['offset']).toBeTypeOf('number');
  return error;
}

describe('readGguf', () => {
  it('describes tensors with their shapes, types and places', async () => {
    const gguf = await read(small);
    expect(
      [...gguf.tensors.values()].map(({ name, type, shape, byteLength }) => [name, type, shape, byteLength]),
    ).toEqual([
      ['a', 'Q4_0', [64, 3], 108],
      ['b', 'F32', [5], 20],
      ['c', 'IQ1_M', [256, 2, 1, 3], 336],
    ]);
    const b = gguf.tensors.get('b');
    expect(b?.offset).toBe(gguf.dataOffset + 128);
    expect([...new Float32Array(writeGguf(small).slice(b?.offset, (b?.offset ?? 0) + 20).buffer)]).toEqual([
      1, 2, 3, 4, 5,
    ]);
    expect({ version: gguf.version, alignment: gguf.alignment, aligned: gguf.dataOffset % 32 }).toEqual({
      version: 3,
      alignment: 32,
      aligned: 0,
    });
  });

  it('keeps keys that an object would trip over, and text as it is', async () => {
    const { metadata } = await read(small);
    expect(metadata.get('__proto__')).toEqual({ type: 'u32', value: 7 });
    expect(metadata.get('constructor')?.value).toEqual({ itemType: 'string', items: ['a', '', 'ĠΩ漢😀\u0000\ufeff'] });
    expect(metadata.get('toString')).toBeUndefined();
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  });

  it('reads every value type, alone and in arrays', async () => {
    const nested: WrittenArray = {
      itemType: 'array',
      items: [
        { itemType: 'u8', items: [1, 2] },
        { itemType: 'f64', items: [] },
      ],
    };
    const { metadata } = await read({
      metadata: [
        ['u8', { type: 'u8', value: 255 }],
        ['i8', { type: 'i8', value: -128 }],
        ['u16', { type: 'u16', value: 65535 }],
        ['i16', { type: 'i16', value: -32768 }],
        ['u32', { type: 'u32', value: 2 ** 32 - 1 }],
        ['i32', { type: 'i32', value: -(2 ** 31) }],
        ['f32', { type: 'f32', value: 1e-6 }],
        ['f64', { type: 'f64', value: 1e-300 }],
        ['bool', written.bool(true)],
        ['u64', { type: 'u64', value: 2n ** 53n - 1n }],
        ['u64 big', { type: 'u64', value: 2n ** 64n - 1n }],
        ['i64', { type: 'i64', value: -(2n ** 53n) + 1n }],
        ['i64 big', { type: 'i64', value: -(2n ** 63n) }],
        ['arrays', { type: 'array', value: nested }],
        ['i16s', written.array('i16', [-1, 2, -3])],
        ['f32s', written.array('f32', [0.5, -2])],
        ['bools', written.array('bool', [true, false, true])],
        ['u64s', written.array('u64', [1n, 2n ** 63n])],
        ['i64s', written.array('i64', [-1n])],
      ],
    });
    const values = Object.fromEntries([...metadata].map(([key, { value }]) => [key, value]));
    expect(values).toEqual({
      u8: 255,
      i8: -128,
      u16: 65535,
      i16: -32768,
      u32: 2 ** 32 - 1,
      i32: -(2 ** 31),
      f32: Math.fround(1e-6),
      f64: 1e-300,
      bool: true,
      u64: 2 ** 53 - 1,
      'u64 big': 2n ** 64n - 1n,
      i64: -(2 ** 53) + 1,
      'i64 big': -(2n ** 63n),
      arrays: {
        itemType: 'array',
        items: [
          { itemType: 'u8', items: Uint8Array.of(1, 2) },
          { itemType: 'f64', items: new Float64Array(0) },
        ],
      },
      i16s: { itemType: 'i16', items: Int16Array.of(-1, 2, -3) },
      f32s: { itemType: 'f32', items: Float32Array.of(0.5, -2) },
      bools: { itemType: 'bool', items: [true, false, true] },
      u64s: { itemType: 'u64', items: BigUint64Array.of(1n, 2n ** 63n) },
      i64s: { itemType: 'i64', items: BigInt64Array.of(-1n) },
    });
  });

  it('reads version 2, another alignment, and a file without tensors', async () => {
    const gguf = await read({
      metadata: [['general.alignment', written.u32(256)]],
      tensors: [
        { name: 'a', type: 'F16', shape: [3] },
        { name: 'b', type: 'F16', shape: [3] },
      ],
      alignment: 256,
      says: { version: 2 },
    });
    expect([...gguf.tensors.values()].map(({ offset }) => offset)).toEqual([256, 512]);
    expect(gguf.version).toBe(2);
    expect((await read({})).tensors.size).toBe(0);
  });

  it('reads a header larger than any window, asking only for bytes in front of it and in order', async () => {
    const tokens = Array.from({ length: 400_000 }, (_, i) => `token ${i * 7919}ß`);
    const file: WrittenGguf = {
      metadata: [
        ['tokens', written.array('string', tokens)],
        [
          'scores',
          written.array(
            'f32',
            Array.from({ length: 1_500_000 }, (_, i) => i),
          ),
        ],
        ['long', written.string('é'.repeat(2_500_000))],
      ],
      tensors: [{ name: 'w', type: 'F32', shape: [6_000_000] }],
    };
    const bytes = writeGguf(file);
    const reads: [number, number][] = [];
    const inner = bufferSource(bytes);
    const source: ByteSource = {
      ...inner,
      read(offset, length, signal) {
        reads.push([offset, offset + length]);
        return inner.read(offset, length, signal);
      },
    };
    const gguf = await readGguf(source);
    expect(gguf.metadata.get('tokens')?.value).toEqual({ itemType: 'string', items: tokens });
    expect(gguf.metadata.get('long')?.value).toBe('é'.repeat(2_500_000));
    const scores = gguf.metadata.get('scores');
    expect(scores?.type === 'array' && scores.value.items.length === 1_500_000 && scores.value.items[1_499_999]).toBe(
      1_499_999,
    );
    for (const [i, [start, end]] of reads.entries()) {
      expect(end - start).toBeLessThanOrEqual(5_100_000);
      expect(start).toBe(i === 0 ? 0 : reads[i - 1][1]);
    }
    expect(reads[reads.length - 1][1]).toBeLessThan(gguf.dataOffset + (4 << 20));
  });

  it('gives up when the signal fires', async () => {
    const source = bufferSource(writeGguf(small));
    await expect(readGguf(source, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
  });
});

describe('a broken file', () => {
  const tensor = (says: NonNullable<NonNullable<WrittenGguf['tensors']>[number]['says']>): WrittenGguf => ({
    tensors: [
      { name: 'first', type: 'F32', shape: [16] },
      { name: 'odd', type: 'Q8_0', shape: [32, 2], says },
    ],
  });
  const deep = (nesting: number): WrittenArray =>
    nesting === 0 ? { itemType: 'u8', items: [1] } : { itemType: 'array', items: [deep(nesting - 1)] };
  const key = (name: string | Uint8Array, value = written.u32(1)): WrittenGguf => ({ metadata: [[name, value]] });
  const alignment = (value: number): WrittenGguf => key('general.alignment', written.u32(value));
  const text = (...bytes: number[]): WrittenGguf => key('text', written.string(Uint8Array.from(bytes)));

  const cases: [string, WrittenGguf, RegExp][] = [
    ['another magic', { says: { magic: '<!DO' } }, /not a GGUF file.*"<!DO".*byte 0/],
    ['version 1', { says: { version: 1 } }, /version 1 is not supported.*byte 4/],
    ['version 4', { says: { version: 4 } }, /version 4 is not supported/],
    ['big-endian', { ...small, says: { bigEndian: true } }, /big-endian/],
    ['too many tensors', { says: { tensorCount: 2n ** 40n } }, /1099511627776 tensors cannot fit.*byte 8/],
    ['tensors beyond 2^53', { says: { tensorCount: 2n ** 64n - 1n } }, /18446744073709551615 tensors cannot fit/],
    ['too many keys', { says: { keyCount: 2n ** 63n } }, /9223372036854775808 metadata keys cannot fit/],
    ['an empty key', key(''), /metadata key 0 of 1: the name is empty/],
    [
      'a key twice',
      { metadata: [...(small.metadata ?? []), ['__proto__', written.u32(1)]] },
      /"__proto__": the key is there twice/,
    ],
    ['a bool of 2', key('flag', { type: 'bool', value: 2 }), /"flag": a bool is 2/],
    ['nesting of 5', key('deep', { type: 'array', value: deep(4) }), /"deep": arrays are nested deeper than 4/],
    ['an overlong form', text(0xc0, 0x80), /"text": a string is not valid UTF-8/],
    ['a surrogate', text(0xed, 0xa0, 0x80), /not valid UTF-8/],
    ['past U+10FFFF', text(0xf4, 0x90, 0x80, 0x80), /not valid UTF-8/],
    ['a cut character', text(0x61, 0xe2, 0x82), /not valid UTF-8/],
    ['a stray continuation', text(0x80), /not valid UTF-8/],
    ['a wrong byte in a long string', text(...Buffer.alloc(200, 'a'), 0xff), /not valid UTF-8/],
    ['a key that is not text', key(Uint8Array.of(0xff)), /metadata key 0 of 1: a string is not valid UTF-8/],
    ['alignment 24', alignment(24), /general.alignment.*24 is no power of two/],
    ['alignment 0', alignment(0), /0 is no power of two/],
    ['alignment 4', alignment(4), /4 is no power of two from 8/],
    ['alignment 2^31', alignment(2 ** 31), /2147483648 is no power of two/],
    ['alignment as text', key('general.alignment', written.string('32')), /expected u32, found string/],
    ['an empty tensor name', { tensors: [{ name: '', type: 'F32', shape: [1] }] }, /tensor 0 of 1: the name is empty/],
    [
      'a tensor twice',
      { tensors: ['w', 'w'].map((name) => ({ name, type: 'F32', shape: [8] })) },
      /tensor "w": the name is there twice/,
    ],
    ['no dimensions', tensor({ dimensions: 0 }), /tensor "odd": 0 dimensions/],
    ['5 dimensions', tensor({ dimensions: 5 }), /tensor "odd": 5 dimensions, expected 1 to 4/],
    ['a dimension of 0', tensor({ shape: [32n, 0n] }), /tensor "odd": dimension 1 is 0/],
    ['a dimension of 2^64 - 1', tensor({ shape: [32n, 2n ** 64n - 1n] }), /"odd": dimension 1 is 18446744073709551615/],
    [
      'a product of 2^64',
      tensor({ shape: [2n ** 32n, 2n ** 32n] }),
      /"odd": dimension 1 is 4294967296: empty or too large/,
    ],
    ['a product larger than the file', tensor({ shape: [32n, 1000n] }), /takes 34000 bytes, the file has/],
    ['a row of half blocks', tensor({ shape: [48n, 1n] }), /rows of 48 values cannot be cut into Q8_0's blocks of 32/],
    ['an unknown type', tensor({ typeId: 99 }), /tensor "odd": unknown storage type 99/],
    ['a removed type', tensor({ typeId: 4 }), /unknown storage type 4/],
    ['an odd offset', tensor({ offset: 65n }), /its offset 65 is no multiple of the alignment 32/],
    ['an overlap', tensor({ offset: 32n }), /tensor "odd": it overlaps tensor "first"/],
    ['the same place', tensor({ offset: 0n }), /overlaps tensor/],
    [
      'an offset past the end',
      tensor({ offset: 2n ** 40n }),
      /"odd": its offset 1099511627776 lies past the file's end/,
    ],
    ['an offset beyond 2^53', tensor({ offset: 2n ** 64n - 32n }), /lies past the file's end/],
    ['data past the end', tensor({ offset: 96n }), /tensor "odd": its 68 bytes end past the file's/],
  ];

  it.each(cases)('%s is named', async (_, file, message) => {
    expect((await failure(writeGguf(file))).message).toMatch(message);
  });

  it('of unknown value types is named, alone and in arrays', async () => {
    const head = () => new ByteWriter().raw(new TextEncoder().encode('GGUF')).u32(3).u64(0).u64(1).string('k');
    const pad = new Uint8Array(64);
    expect((await failure(head().u32(13).raw(pad).finish())).message).toMatch(
      /"k": unknown value type 13 \(at byte 33\)/,
    );
    expect((await failure(head().u32(9).u32(77).raw(pad).finish())).message).toMatch(/"k": unknown value type 77/);
  });

  it('with absurd counts of items or bytes allocates nothing for them', async () => {
    const head = () => new ByteWriter().raw(new TextEncoder().encode('GGUF')).u32(3).u64(0).u64(1).string('k');
    const pad = new Uint8Array(4096);
    for (const count of [2n ** 64n - 1n, 2n ** 53n, 2n ** 32n, 2n ** 31n, 4097n]) {
      for (const itemType of [0, 5, 7, 8, 9, 10, 12]) {
        const bytes = head().u32(9).u32(itemType).u64(count).raw(pad).finish();
        expect((await failure(bytes)).message).toMatch(new RegExp(`${count} items of type \\w+ cannot fit`));
      }
      expect((await failure(head().u32(8).u64(count).raw(pad).finish())).message).toMatch(
        /bytes of a string cannot fit/,
      );
    }
  });

  it('with counts that fit the file but no sane header is refused before it is held', async () => {
    const head = new ByteWriter().raw(new TextEncoder().encode('GGUF')).u32(3).u64(0);
    const claims = (rest: (out: ByteWriter) => ByteWriter): Uint8Array<ArrayBuffer> => {
      const out = new ByteWriter().raw(head.finish());
      return rest(out).finish();
    };
    const files: [Uint8Array<ArrayBuffer>, RegExp][] = [
      [claims((out) => out.u64(100_001)), /100001 metadata keys, at most 100000/],
      [
        claims((out) =>
          out
            .u64(1)
            .string('k')
            .u32(9)
            .u32(4)
            .u64(2n ** 30n),
        ),
        /header is larger than 134217728/,
      ],
      [
        claims((out) =>
          out
            .u64(1)
            .string('k')
            .u32(9)
            .u32(8)
            .u64(2n ** 30n),
        ),
        /header is larger than 134217728/,
      ],
      [claims((out) => out.u64(1).string('k').u32(9).u32(9).u64(100_001)), /more than 100000 nested arrays/],
      [claims((out) => out.u64(1).string('k').u32(8).u64(10_000_001)), /10000001 bytes of a string, at most 10000000/],
      [claims((out) => out.u64(1).u64(70_000)), /70000 bytes of a string, at most 65535/],
    ];
    for (const [start, message] of files) {
      let held = 0;
      // 16 GiB of zeros after the start: whatever is claimed, the file is large enough for it.
      const source: ByteSource = {
        name: 'huge.gguf',
        size: 2 ** 34,
        async read(offset, length) {
          held += length;
          const bytes = new Uint8Array(length);
          if (offset < start.length) bytes.set(start.subarray(offset, offset + length));
          return bytes;
        },
        async *stream() {
          yield new Uint8Array(0);
        },
      };
      await expect(readGguf(source)).rejects.toThrow(message);
      expect(held).toBeLessThanOrEqual(1 << 20);
    }
  });

  it('that is cut anywhere in its header says where', async () => {
    const bytes = writeGguf(small);
    const { dataOffset } = await read(small);
    for (let length = 0; length < dataOffset; length++) {
      const { details } = await failure(bytes.slice(0, length));
      expect(details['offset']).toBeLessThanOrEqual(dataOffset + 256);
    }
  });
});
