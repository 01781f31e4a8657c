import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest';
import { fileSource } from '../../../src/cli/file_source';
import { SourceError } from '../../../src/errors';
import type { ByteSource as FormatsByteSource } from '../../../src/formats/byte_source';
import { type ByteSource, blobSource, bufferSource } from '../../../src/storage/byte_source';
import { seeded } from '../../support/seeded';

const random = seeded(3);
const content = Uint8Array.from({ length: 10_000_019 }, () => 256 * random());
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sources-'));
  await writeFile(join(folder, 'model.gguf'), content);
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

const sources: [string, () => Promise<ByteSource>][] = [
  ['an ArrayBuffer', async () => bufferSource(content.slice().buffer)],
  ['a view', async () => bufferSource(shifted())],
  ['shared memory', async () => bufferSource(shared())],
  ['a Blob', async () => blobSource(new Blob([content]))],
  ['a File', async () => blobSource(new File([content], 'picked.gguf'))],
  ['a file on disk', () => fileSource(join(folder, 'model.gguf'))],
];

function shifted(): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(content.length + 10);
  larger.set(content, 7);
  return larger.subarray(7, 7 + content.length);
}

function shared(): Uint8Array<SharedArrayBuffer> {
  const bytes = new Uint8Array(new SharedArrayBuffer(content.length));
  bytes.set(content);
  return bytes;
}

describe.each(sources)('%s', (_, open) => {
  it('reads any range exactly', async () => {
    const source = await open();
    expect(source.size).toBe(content.length);
    for (const [offset, length] of [
      [0, 1],
      [0, content.length],
      [content.length, 0],
      [content.length - 1, 1],
      [4_194_303, 5],
    ]) {
      expect(Buffer.compare(await source.read(offset, length), content.subarray(offset, offset + length))).toBe(0);
    }
  });

  it('streams any range in order, in chunks of at most 4 MiB', async () => {
    const source = await open();
    let at = 17;
    for await (const chunk of source.stream(17, content.length - 20)) {
      expect(chunk.length).toBeLessThanOrEqual(4 << 20);
      expect(Buffer.compare(chunk, content.subarray(at, at + chunk.length))).toBe(0);
      at += chunk.length;
    }
    expect(at).toBe(content.length - 3);
  });

  it('refuses a range outside of it', async () => {
    const source = await open();
    for (const [offset, length] of [
      [0, content.length + 1],
      [content.length, 1],
      [-1, 2],
      [0.5, 1],
      [0, Number.NaN],
      [Number.MAX_SAFE_INTEGER, 2],
    ]) {
      await expect(source.read(offset, length)).rejects.toThrow(SourceError);
      await expect(drain(source, offset, length)).rejects.toThrow(SourceError);
    }
  });

  it('stops when the signal fires', async () => {
    const source = await open();
    const controller = new AbortController();
    await expect(source.read(0, 1, AbortSignal.abort())).rejects.toMatchObject({ name: 'AbortError', code: 'aborted' });
    let chunks = 0;
    const reading = (async () => {
      for await (const chunk of source.stream(0, source.size, controller.signal)) {
        chunks += chunk.length > 0 ? 1 : 0;
        controller.abort('enough');
      }
    })();
    await expect(reading).rejects.toMatchObject({ name: 'AbortError', cause: 'enough' });
    expect(chunks).toBe(1);
  });
});

async function drain(source: ByteSource, offset: number, length: number): Promise<void> {
  for await (const chunk of source.stream(offset, length)) expect(chunk.length).toBeGreaterThan(0);
}

it('names what it reads', async () => {
  expect(blobSource(new File([content], 'picked.gguf')).name).toBe('picked.gguf');
  expect(blobSource(new Blob([])).name).toBe('blob');
  expect(bufferSource(new ArrayBuffer(0), 'demo').name).toBe('demo');
});

it('a file that is missing, a folder, or cut while it is read is a SourceError that names it', async () => {
  await expect(fileSource(join(folder, 'absent.gguf'))).rejects.toThrow(/absent\.gguf/);
  await expect(fileSource(folder)).rejects.toThrow(/is not a file/);
  const path = join(folder, 'cut.gguf');
  await writeFile(path, content.subarray(0, 1000));
  const source = await fileSource(path);
  await truncate(path, 500);
  await expect(source.read(400, 200)).rejects.toThrow(SourceError);
  expect((await source.read(400, 100)).length).toBe(100);
});

it('a blob that can no longer be read is a SourceError', async () => {
  const gone = { size: 10, slice: () => ({ arrayBuffer: () => Promise.reject(new Error('NotReadableError')) }) };
  await expect(blobSource(gone as unknown as Blob).read(0, 10)).rejects.toThrow(
    /blob cannot be read: NotReadableError/,
  );
});

it('is the source that formats read', () => {
  expectTypeOf<ByteSource>().toEqualTypeOf<FormatsByteSource>();
});
