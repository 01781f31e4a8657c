import { expect, it } from 'vitest';
import { InvalidFileError } from '../../../src/errors';
import type { Gguf } from '../../../src/formats/gguf/gguf';
import { readGguf } from '../../../src/formats/gguf/read_gguf';
import { bufferSource } from '../../../src/storage/byte_source';
import { writeGguf, written } from '../../support/gguf_writer';
import { pick, seeded } from '../../support/seeded';

const MUTATIONS = 2000;

const original = writeGguf({
  metadata: [
    ['general.architecture', written.string('llama')],
    ['general.alignment', written.u32(32)],
    ['llama.block_count', { type: 'u64', value: 2n }],
    ['tokens', written.array('string', ['<s>', 'a', 'Ġb', '漢'])],
    ['scores', written.array('f32', [0, -1, -2.5])],
    ['nested', { type: 'array', value: { itemType: 'array', items: [{ itemType: 'bool', items: [true, false] }] } }],
  ],
  tensors: [
    { name: 'token_embd.weight', type: 'Q8_0', shape: [64, 4] },
    { name: 'blk.0.attn_norm.weight', type: 'F32', shape: [64] },
    { name: 'output.weight', type: 'Q4_K', shape: [256, 2] },
  ],
});

const HEADER_BYTES = 640;
const ODD_NUMBERS = [
  0n,
  1n,
  13n,
  255n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 64n - 1n,
];

function mutate(random: () => number): Uint8Array<ArrayBuffer> {
  const at = (): number => Math.floor(random() * Math.min(HEADER_BYTES, original.length - 8));
  let bytes = original.slice();
  for (let edits = 1 + Math.floor(random() * 3); edits > 0; edits--) {
    switch (Math.floor(random() * 6)) {
      case 0:
        bytes[at() % bytes.length] ^= 1 << Math.floor(random() * 8);
        break;
      case 1:
        bytes[at() % bytes.length] = Math.floor(random() * 256);
        break;
      case 2: {
        const place = at();
        if (place + 8 <= bytes.length) new DataView(bytes.buffer).setBigUint64(place, pick(random, ODD_NUMBERS), true);
        break;
      }
      case 3: {
        const place = at();
        if (place + 4 <= bytes.length)
          new DataView(bytes.buffer).setUint32(place, Number(pick(random, ODD_NUMBERS) & 0xffffffffn), true);
        break;
      }
      case 4:
        bytes = bytes.slice(0, Math.floor(random() * bytes.length));
        break;
      default: {
        const from = at();
        const piece = bytes.slice(from, from + Math.floor(random() * 40));
        const to = Math.min(at(), bytes.length);
        bytes = Uint8Array.of(...bytes.subarray(0, to), ...piece, ...bytes.subarray(to));
      }
    }
    if (bytes.length === 0) break;
  }
  return bytes;
}

/** What a loader relies on, whatever the file was. */
function expectSound({ tensors, alignment, dataOffset }: Gguf, size: number): void {
  let end = dataOffset;
  for (const tensor of [...tensors.values()].sort((a, b) => a.offset - b.offset)) {
    expect(tensor.offset % alignment).toBe(0);
    expect(tensor.offset).toBeGreaterThanOrEqual(end);
    expect(tensor.byteLength).toBeGreaterThan(0);
    end = tensor.offset + tensor.byteLength;
  }
  if (tensors.size > 0) expect(end).toBeLessThanOrEqual(size);
}

it(`of ${MUTATIONS} mutated files each is either sound or refused by a typed error`, async () => {
  const random = seeded(20);
  let refused = 0;
  const held = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < MUTATIONS; i++) {
    const bytes = mutate(random);
    try {
      expectSound(await readGguf(bufferSource(bytes, 'mutated.gguf')), bytes.length);
    } catch (error) {
      if (!(error instanceof InvalidFileError)) throw error;
      expect(error.message).toMatch(/^mutated\.gguf: .*\(at byte \d+\)$/s);
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(MUTATIONS / 4);
  expect(refused).toBeLessThan(MUTATIONS);
  expect(process.memoryUsage().arrayBuffers - held).toBeLessThan(256 << 20);
});
