/** What another reader of GGUF says of the same files. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GGMLQuantizationType, type GGUFTypedMetadata, GGUFValueType, gguf as peerGguf } from '@huggingface/gguf';
import { expect, it } from 'vitest';
import type { GgufArray, GgufValue } from '../../../src/formats/gguf/gguf';
import { readGguf } from '../../../src/formats/gguf/read_gguf';
import { bufferSource } from '../../../src/storage/byte_source';
import { writeGguf, written } from '../../support/gguf_writer';

const TYPE_NAMES: Readonly<Record<string, string>> = {
  UINT8: 'u8',
  INT8: 'i8',
  UINT16: 'u16',
  INT16: 'i16',
  UINT32: 'u32',
  INT32: 'i32',
  FLOAT32: 'f32',
  BOOL: 'bool',
  STRING: 'string',
  ARRAY: 'array',
  UINT64: 'u64',
  INT64: 'i64',
  FLOAT64: 'f64',
};

function plainArray({ itemType, items }: GgufArray): unknown[] {
  return itemType === 'array' ? items.map(plainArray) : [...items];
}

function plain(value: GgufValue): { type: string; value: unknown } {
  if (value.type === 'array') return { type: 'array', value: plainArray(value.value) };
  const wide = value.type === 'u64' || value.type === 'i64';
  return { type: value.type, value: wide ? BigInt(value.value) : value.value };
}

async function expectSame(path: string): Promise<void> {
  const bytes = new Uint8Array(readFileSync(path));
  const ours = await readGguf(bufferSource(bytes));
  const peer = await peerGguf(path, { allowLocalFile: true, typedMetadata: true });
  const typed: GGUFTypedMetadata = peer.typedMetadata;
  const { version, tensor_count, kv_count, ...pairs } = typed;
  expect(ours.version).toBe(version.value);
  expect(ours.metadata.size).toBe(Number(kv_count.value));
  expect([...ours.metadata.keys()]).toEqual(Object.keys(pairs));
  for (const [key, value] of ours.metadata) {
    const { type, value: theirs } = pairs[key] as { type: GGUFValueType; value: unknown };
    const found = plain(value);
    expect(found.type, key).toBe(TYPE_NAMES[GGUFValueType[type]]);
    // One comparison of long lists, not one per item.
    expect(JSON.stringify(found.value, asPeer), key).toBe(JSON.stringify(theirs, asPeer));
  }
  expect(ours.tensors.size).toBe(Number(tensor_count.value));
  expect([...ours.tensors.values()].map(({ name, type, shape, offset }) => ({ name, type, shape, offset }))).toEqual(
    peer.tensorInfos.map(({ name, dtype, shape, offset }) => ({
      name,
      type: GGMLQuantizationType[dtype],
      shape: shape.map(Number),
      offset: Number(peer.tensorDataOffset + offset),
    })),
  );
  const last = [...ours.tensors.values()].at(-1);
  if (last) expect(Math.ceil((last.offset + last.byteLength) / ours.alignment) * ours.alignment).toBe(bytes.length);
}

/** The peer's text decoder drops a byte order mark, which is a token in some vocabularies. */
function asPeer(_: string, value: unknown): unknown {
  if (typeof value === 'string' && value.startsWith('\ufeff')) return value.slice(1);
  return typeof value === 'bigint' ? `${value}n` : value;
}

it('a file of our own writer reads the same', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gguf-'));
  try {
    const path = join(folder, 'own.gguf');
    const bytes = writeGguf({
      metadata: [
        ['general.architecture', written.string('llama')],
        ['general.name', written.string('Ω 漢 😀')],
        ['a.f64', { type: 'f64', value: Math.PI }],
        ['a.u64', { type: 'u64', value: 2n ** 60n }],
        ['a.i16', { type: 'i16', value: -5 }],
        ['a.list', written.array('i32', [-1, 2, 2 ** 31 - 1])],
        ['a.flags', written.array('bool', [true, false])],
        ['a.texts', written.array('string', ['', 'x', 'é'])],
      ],
      tensors: [
        { name: 'w', type: 'Q6_K', shape: [512, 3] },
        { name: 'v', type: 'BF16', shape: [7, 2, 3] },
        { name: 'u', type: 'F32', shape: [1] },
      ],
    });
    await writeFile(path, bytes);
    await expectSame(path);
  } finally {
    await rm(folder, { recursive: true });
  }
});

for (const folder of ['fixtures/models', 'fixtures/tokenizers', 'demo-model'].map((name) => `../shared/${name}`)) {
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.gguf')) : [];
  it.each(files)(`${folder}/%s reads the same`, (name) => expectSame(`${folder}/${name}`), 30_000);
}
