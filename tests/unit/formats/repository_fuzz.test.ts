/** Mutated safetensors, indexes and configurations: each is either a sound model or refused by a typed error. */
import { expect, it } from 'vitest';
import { InvalidFileError, SourceError, UnsupportedModelError } from '../../../src/errors';
import type { DescribedSource } from '../../../src/formats/model_files';
import { openModelFile } from '../../../src/formats/open_model_file';
import { layOut } from '../../../src/model/layout';
import { asRepository, LLAMA_CHECKPOINT, readFixture, storedTensors } from '../../support/hugging_face';
import { memoryFolder, safetensorsFile, type WrittenFiles, writeSafetensors } from '../../support/safetensors_writer';
import { pick, seeded } from '../../support/seeded';

const WEIGHTS = 1200;
const CONFIGS = 1400;
const INDEXES = 500;

const fixture = await readFixture('tests/fixtures/models/llama-gqa.gguf');
const original = asRepository(fixture, LLAMA_CHECKPOINT) as Record<string, string> & {
  'model.safetensors': Uint8Array<ArrayBuffer>;
};
const encoder = new TextEncoder();

const ODD_TEXT: readonly string[] = [
  '-1',
  '0',
  '1e308',
  '1e999',
  '9007199254740993',
  '0.5',
  'null',
  'true',
  '""',
  '"__proto__"',
  '[]',
  '{}',
  '[[[[[[]]]]]]',
  `${'['.repeat(200)}${']'.repeat(200)}`,
  '\u0000',
  '"\\ud800"',
  '{"constructor":{"prototype":1}}',
];

/** Flips bits, cuts, repeats and swaps pieces; in text, replaces values by odd ones. */
function mutate(bytes: Uint8Array<ArrayBuffer>, reach: number, random: () => number): Uint8Array<ArrayBuffer> {
  let out = bytes.slice();
  const at = (): number => Math.floor(random() * Math.min(reach, out.length));
  for (let edits = 1 + Math.floor(random() * 3); edits > 0 && out.length > 0; edits--) {
    switch (Math.floor(random() * 6)) {
      case 0:
        out[at()] ^= 1 << Math.floor(random() * 8);
        break;
      case 1:
        out[at()] = Math.floor(random() * 256);
        break;
      case 2:
        out = out.slice(0, random() < 0.5 ? at() : Math.floor(random() * out.length));
        break;
      case 3: {
        const from = at();
        const piece = out.slice(from, from + Math.floor(random() * 60));
        const to = at();
        out = new Uint8Array(Buffer.concat([out.subarray(0, to), piece, out.subarray(to)]));
        break;
      }
      default: {
        // A value after a colon, or a number in a list.
        const text = Buffer.from(out.subarray(0, Math.min(reach, out.length))).toString('latin1');
        const values = [...text.matchAll(/(?<=[:[,] ?)(?:"[^"]*"|[\d.eE+-]+|true|false|null)/g)];
        if (values.length === 0) break;
        const { index, 0: found } = pick(random, values);
        const other = random() < 0.5 ? pick(random, ODD_TEXT) : pick(random, values)[0];
        const before = out.subarray(0, index);
        out = new Uint8Array(Buffer.concat([before, encoder.encode(other), out.subarray(index + found.length)]));
      }
    }
  }
  return out;
}

function isTyped(error: unknown): boolean {
  return error instanceof InvalidFileError || error instanceof UnsupportedModelError || error instanceof SourceError;
}

/** Whether the model was refused. What is not must be usable: tensors lie in the files, and a plan can be laid out or is refused too. */
async function isRefused(files: WrittenFiles, path: string): Promise<boolean> {
  try {
    const source = (await openModelFile(memoryFolder(files, 'mutated'), path)) as DescribedSource;
    for (const tensor of source.gguf.tensors.values()) {
      expect(tensor.byteLength).toBeGreaterThan(0);
      expect(tensor.offset + tensor.byteLength).toBeLessThanOrEqual(source.size);
      const last = await source.read(tensor.offset + tensor.byteLength - 1, 1);
      expect(last.length).toBe(1);
    }
    layOut(source.gguf, { backend: 'reference' }, undefined);
    return false;
  } catch (error) {
    if (!isTyped(error)) throw error;
    expect((error as Error).message.length).toBeLessThan(2000);
    return true;
  }
}

async function expectMostRefused(count: number, make: (random: () => number) => [files: WrittenFiles, path: string]) {
  const random = seeded(count);
  const held = process.memoryUsage().arrayBuffers;
  let refused = 0;
  for (let i = 0; i < count; i++) {
    const [files, path] = make(random);
    if (await isRefused(files, path)) refused++;
  }
  expect(refused).toBeGreaterThan(count / 4);
  expect(refused).toBeLessThan(count);
  expect(process.memoryUsage().arrayBuffers - held).toBeLessThan(512 << 20);
}

it('the originals are sound', async () => {
  expect(await isRefused(original, 'model.safetensors')).toBe(false);
});

it(`${WEIGHTS} mutated safetensors files`, async () => {
  const weights = original['model.safetensors'];
  const header = 8 + Number(new DataView(weights.buffer).getBigUint64(0, true));
  await expectMostRefused(WEIGHTS, (random) => {
    const changed = mutate(weights, header, random);
    // Half of them with a length that fits again, so that what lies behind it is reached.
    const end = changed.length - (weights.length - header);
    if (random() < 0.5 && end > 8 && changed.length > 8)
      new DataView(changed.buffer).setBigUint64(0, BigInt(end - 8), true);
    return [{ ...original, 'model.safetensors': changed }, 'model.safetensors'];
  });
}, 60_000);

it(`${CONFIGS} mutated configurations`, async () => {
  const kinds = [
    {},
    {
      rope_scaling: {
        rope_type: 'llama3',
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 64,
      },
    },
    { model_type: 'mistral', sliding_window: 128, head_dim: 16, partial_rotary_factor: 1 },
    { rope_parameters: { rope_type: 'linear', factor: 2, rope_theta: 10000 }, rope_theta: undefined },
  ].map((extra) => encoder.encode(JSON.stringify({ ...LLAMA_CHECKPOINT.config, ...extra }, null, 1)));
  await expectMostRefused(CONFIGS, (random) => {
    const config = mutate(pick(random, kinds), Number.POSITIVE_INFINITY, random);
    return [{ ...original, 'config.json': config }, 'model.safetensors'];
  });
}, 60_000);

it(`${INDEXES} mutated indexes`, async () => {
  const tensors = Object.entries(storedTensors(fixture, LLAMA_CHECKPOINT));
  const shards = [tensors.slice(0, 5), tensors.slice(5)];
  const name = (i: number) => `model-0000${i + 1}-of-00002.safetensors`;
  const weight_map = Object.fromEntries(shards.flatMap((shard, i) => shard.map(([tensor]) => [tensor, name(i)])));
  const index = encoder.encode(JSON.stringify({ metadata: { total_size: 1 }, weight_map }, null, 1));
  const files: WrittenFiles = {
    ...original,
    [name(0)]: writeSafetensors(Object.fromEntries(shards[0])),
    [name(1)]: writeSafetensors(Object.fromEntries(shards[1])),
  };
  const path = 'model.safetensors.index.json';
  await expectMostRefused(INDEXES, (random) => [{ ...files, [path]: mutate(index, index.length, random) }, path]);
}, 60_000);

it.each([
  ['{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 12, /tensors end at byte .* the file at/],
  ['{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}', 12, /"a": there is a hole before it/],
  [
    '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}',
    12,
    /"b": it overlaps/,
  ],
  ['{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}', 8, /"a": \[3\] in F32 takes 12 bytes, its range has 8/],
  ['{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}', 8, /"a": its data_offsets are no range/],
  ['{"a":{"dtype":"X9","shape":[2],"data_offsets":[0,8]}}', 8, /"a": unknown dtype "X9"/],
  ['{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}', 8, /"a": its shape/],
  ['{"a":{"dtype":"F32","shape":[4503599627370496,4503599627370496],"data_offsets":[0,8]}}', 8, /"a": .* is too large/],
  [
    '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
    8,
    /"a" is there twice/,
  ],
  ['{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}}', 8, /"a": unknown key "x"/],
  ['[]', 0, /does not begin with/],
  ['{"a":1', 0, /expected "," or "}"/],
])('a header is refused for what is wrong: %s', async (header, bytes, message) => {
  const files = { ...original, 'model.safetensors': safetensorsFile(header, [new Uint8Array(bytes)]) };
  await expect(openModelFile(memoryFolder(files), 'model.safetensors')).rejects.toThrow(InvalidFileError);
  await expect(openModelFile(memoryFolder(files), 'model.safetensors')).rejects.toThrow(message);
});

it('a header longer than the file, or than is sane, is refused before it is read', async () => {
  for (const [length, message] of [
    [5000n, /end past the file's/],
    [2n ** 62n, /is over 100000000/],
  ] as const) {
    const bytes = new Uint8Array(100);
    new DataView(bytes.buffer).setBigUint64(0, length, true);
    const files = { ...original, 'model.safetensors': bytes };
    await expect(openModelFile(memoryFolder(files), 'model.safetensors')).rejects.toThrow(message);
  }
});
