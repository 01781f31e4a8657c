import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BLOCK_FORMATS, ENCODABLE_FORMATS } from '../../../src/formats/blocks';
import { decodeRow } from '../../../src/formats/dequantize';
import { encodeRow } from '../../../src/formats/quantize';
import { randomBlocks } from '../../../src/formats/random_blocks';
import { rowBytes } from '../../../src/formats/row_bytes';
import { WEIGHT_FORMATS, type WeightFormat } from '../../../src/formats/weight_format';
import { seeded } from '../../support/seeded';

const FIXTURES = 'tests/fixtures/dequant';

/** Largest error of a value, as a share of the block's largest magnitude. */
const LARGEST_ERROR: Record<keyof typeof ENCODABLE_FORMATS, number> = {
  f32: 0,
  f16: 2 ** -11,
  bf16: 2 ** -8,
  q8_0: 0.5 / 127 + 2 ** -11,
  q4_0: 1 / 8 + 2 ** -11,
  // The range from minimum to maximum is at most twice the largest magnitude.
  q4_1: 1 / 15 + 2 ** -10,
};

function randomValues(count: number, seed: number): Float32Array<ArrayBuffer> {
  const random = seeded(seed);
  return Float32Array.from({ length: count }, () => (random() - 0.5) * 10 ** (4 * random() - 2));
}

function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

/**
 * SHA-256 (its first 16 digits) of the f32 values that a second decoder, a C program written apart from ours after the formats'
 * definitions and not kept, gives for `randomBlocks(format, 2048, seeded(7))`. ggml's own decoders have not been run for these.
 * Formats without an entry are held against the fixtures or against their encoders.
 */
const SECOND_DECODER_DIGESTS: Partial<Record<WeightFormat, string>> = {
  q5_0: 'a7e012d848c8eeab',
  q5_1: '6f6554242ac5a4b1',
  q5_k: 'd621da93bb98ee16',
  iq4_nl: '1b2ebed8cd69507b',
  iq4_xs: '77c120e35b2a206f',
  mxfp4: 'bb1497d9c87db17b',
  q3_k: '04ecbcc13e6a6c3f',
  q2_k: '21bd5b4aad0a991f',
};

const ENCODABLE = Object.keys(ENCODABLE_FORMATS) as (keyof typeof ENCODABLE_FORMATS)[];

describe.each(ENCODABLE)('%s', (format) => {
  const { blockSize } = BLOCK_FORMATS[format];

  it('comes back within half a step after encoding', () => {
    const values = randomValues(32 * 37, 11);
    const decoded = decodeRow(format, encodeRow(format, values), values.length);
    for (let first = 0; first < values.length; first += blockSize) {
      const block = values.subarray(first, first + blockSize);
      const largest = Math.max(...block.map(Math.abs));
      for (let i = 0; i < blockSize; i++) {
        expect(Math.abs(decoded[first + i] - block[i])).toBeLessThanOrEqual(largest * LARGEST_ERROR[format]);
      }
    }
  });

  it('encodes zeros and constants', () => {
    for (const constant of [0, 1, -1, 0.25]) {
      const values = new Float32Array(64).fill(constant);
      for (const value of decodeRow(format, encodeRow(format, values), 64)) {
        expect(Math.abs(value - constant)).toBeLessThanOrEqual(Math.abs(constant) * 2 ** -11);
      }
    }
  });
});

describe.each(Object.entries(SECOND_DECODER_DIGESTS) as [WeightFormat, string][])('%s', (format, digest) => {
  it('decodes to what a second decoder gives', () => {
    const decoded = decodeRow(format, randomBlocks(format, 2048, seeded(7)), 2048);
    expect(createHash('sha256').update(bitsOf(decoded)).digest('hex').slice(0, 16)).toBe(digest);
  });
});

describe.each(WEIGHT_FORMATS)('%s', (format) => {
  const { blockSize, blockBytes } = BLOCK_FORMATS[format];

  it('makes random blocks that are finite, varied and seeded', () => {
    const raw = randomBlocks(format, 32 * 64, seeded(5));
    expect(raw).toEqual(randomBlocks(format, 32 * 64, seeded(5)));
    const decoded = decodeRow(format, raw, 32 * 64);
    expect(decoded.every((value) => Math.abs(value) < 8)).toBe(true);
    expect(new Set(decoded).size).toBeGreaterThan(32);
  });

  it('decodes at any byte offset, into a given array', () => {
    const cols = 3 * Math.max(32, blockSize);
    const raw = randomBlocks(format, cols, seeded(6));
    const shifted = new Uint8Array(raw.length + 1);
    shifted.set(raw, 1);
    const out = new Float32Array(cols + 4).fill(7);
    expect(decodeRow(format, shifted.subarray(1), cols, out)).toBe(out);
    expect([...out.subarray(0, cols)]).toEqual([...decodeRow(format, raw, cols)]);
    expect([...out.subarray(cols)]).toEqual([7, 7, 7, 7]);
  });

  it('says when a row or its bytes do not fit', () => {
    expect(rowBytes(format, 512)).toBe((512 / blockSize) * blockBytes);
    expect(() => decodeRow(format, new Uint8Array(2 * blockBytes - 1), 2 * blockSize)).toThrow(/takes/);
    expect(() => rowBytes(format, blockSize + 0.5)).toThrow(/cannot be cut/);
  });
});

it('rounds to half precision as the hardware does, ties to even', () => {
  const cases: [number, number][] = [
    [65504, 0x7bff],
    [65519.99, 0x7bff],
    [65520, 0x7c00],
    [2 ** -24, 1],
    [2 ** -25, 0],
    [1.5 * 2 ** -24, 2],
    [2.5 * 2 ** -24, 2],
    [2 ** -14 - 2 ** -26, 0x400],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [-2, 0xc000],
    [Number.NEGATIVE_INFINITY, 0xfc00],
  ];
  for (const [value, half] of cases) {
    const raw = encodeRow('f16', Float32Array.of(value));
    expect(raw[0] | (raw[1] << 8), String(value)).toBe(half);
  }
  // Every half is its own nearest half; NaN stays NaN.
  const all = new Uint8Array(new Uint16Array(65536).map((_, i) => i).buffer);
  const values = decodeRow('f16', all, 65536);
  const again = new Uint16Array(encodeRow('f16', values).buffer);
  const isNan = (half: number): boolean => (half & 0x7c00) === 0x7c00 && (half & 0x3ff) !== 0;
  const wrong = [...again.keys()].filter(
    (half) => Number.isNaN(values[half]) !== isNan(half) || (!isNan(half) && again[half] !== half),
  );
  expect(wrong).toEqual([]);
});

it('rounds to bfloat16, ties to even', () => {
  const bits = (value: number): number => {
    const raw = encodeRow('bf16', Float32Array.of(value));
    return raw[0] | (raw[1] << 8);
  };
  expect(bits(1)).toBe(0x3f80);
  expect(bits(1 + 2 ** -8)).toBe(0x3f80);
  expect(bits(1 + 3 * 2 ** -8)).toBe(0x3f82);
  expect(bits(-1 - 2 ** -8 - 2 ** -20)).toBe(0xbf81);
  expect(bits(Number.NaN) & 0x7fff).toBeGreaterThan(0x7f80);
});

const files: [string, WeightFormat][] = [
  ['F32', 'f32'],
  ['F16', 'f16'],
  ['Q8_0', 'q8_0'],
  ['Q4_0', 'q4_0'],
  ['Q4_K', 'q4_k'],
  ['Q6_K', 'q6_k'],
];
describe.each(files.flatMap(([name, format]) => [[name, format] as const, [`${name}.random`, format] as const]))(
  'fixture %s',
  (name, format) => {
    it("equals ggml's decoder bit for bit", () => {
      const expected = new Float32Array(new Uint8Array(readFileSync(`${FIXTURES}/${name}.f32`)).buffer);
      const decoded = decodeRow(format, readFileSync(`${FIXTURES}/${name}.bin`), expected.length);
      expect(expected.length).toBe(2048);
      expect(bitsOf(decoded)).toEqual(bitsOf(expected));
    });
  },
);
