import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeFolder } from '../../../src/cli/node_folder';
import { InvalidFileError, SourceError } from '../../../src/errors';
import type { DescribedSource } from '../../../src/formats/model_files';
import { openModelFile } from '../../../src/formats/open_model_file';
import { readHeader } from '../../../src/model/origin';
import { bufferSource } from '../../../src/storage/byte_source';
import { type WrittenValue, writeGguf, written } from '../../support/gguf_writer';
import { memoryFolder } from '../../support/safetensors_writer';

const u16 = (value: number): WrittenValue => ({ type: 'u16', value });
const name = (part: number, of = 3) => `dir/tiny-Q8_0-0000${part}-of-0000${of}.gguf`;

/** Each part has one f32 tensor filled with its number. */
function part(number: number, says: Readonly<Record<string, WrittenValue>> = {}): Uint8Array<ArrayBuffer> {
  const split = { 'split.no': u16(number - 1), 'split.count': u16(3), 'split.tensors.count': u16(3), ...says };
  const own: [string, WrittenValue][] = number === 1 ? [['general.architecture', written.string('llama')]] : [];
  const data = new Uint8Array(new Float32Array(16).fill(number).buffer);
  return writeGguf({
    metadata: [...own, ...Object.entries(split)],
    tensors: [{ name: `t${number}`, type: 'F32', shape: [16], data }],
  });
}

const parts = { [name(1)]: part(1), [name(2)]: part(2), [name(3)]: part(3) };

describe('a split GGUF file', () => {
  it.each([1, 2, 3])('is found whole by its part %i, and tensors are read from where they lie', async (given) => {
    const source = (await openModelFile(memoryFolder(parts), name(given))) as DescribedSource;
    const gguf = await readHeader(source);
    expect(gguf.metadata.get('general.architecture')?.value).toBe('llama');
    expect([...gguf.tensors.keys()]).toEqual(['t1', 't2', 't3']);
    for (const tensor of gguf.tensors.values()) {
      const bytes = await source.read(tensor.offset, tensor.byteLength);
      expect([...new Float32Array(bytes.slice().buffer)]).toEqual(Array(16).fill(Number(tensor.name[1])));
    }
    const streamed: Uint8Array[] = [];
    for await (const piece of source.stream(0, source.size)) streamed.push(piece.slice());
    expect(Buffer.concat(streamed).equals(Buffer.concat(Object.values(parts)))).toBe(true);
  });

  it('on a disk is read at once too, also across the borders of its parts, and a part that got shorter is named', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tessera-split-'));
    try {
      const paths = Object.entries(parts).map(([path, bytes]) => {
        const full = join(directory, basename(path));
        writeFileSync(full, bytes);
        return full;
      });
      const source = (await openModelFile(nodeFolder(directory), basename(paths[1]))) as DescribedSource;
      const into = new Uint8Array(source.size - 2);
      source.readSync?.(1, into);
      expect(Buffer.concat(Object.values(parts)).subarray(1, -1).equals(into)).toBe(true);
      truncateSync(paths[2], 10);
      expect(() => source.readSync?.(1, into)).toThrow(SourceError);
      expect(() => source.readSync?.(1, into)).toThrow(`${paths[2]} cannot be read: it ends at byte 10`);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('with a part missing is an error that names it', async () => {
    const { [name(2)]: _, ...rest } = parts;
    await expect(openModelFile(memoryFolder(rest), name(1))).rejects.toThrow(SourceError);
    await expect(openModelFile(memoryFolder(rest), name(1))).rejects.toThrow(`part 2 of 3 is missing: ${name(2)}`);
  });

  it.each([
    [{ [name(2)]: part(3) }, /says part 2 of 3, but split\.no is 2/],
    [{ [name(3)]: part(3, { 'split.count': u16(4) }) }, /split\.count is 4/],
    [{ [name(1)]: part(1, { 'split.tensors.count': u16(9) }) }, /split\.tensors\.count is 9, the parts have 3/],
    [{ [name(3)]: part(1, { 'split.no': u16(2) }) }, /"t1" is in another part too/],
    [{ [name(1)]: parts[name(1)].slice(0, 60) }, InvalidFileError],
  ])('whose parts do not belong together is refused (%#)', async (changed, problem) => {
    await expect(openModelFile(memoryFolder({ ...parts, ...changed }), name(1))).rejects.toThrow(problem);
  });

  it('opened alone says that it is one of several', async () => {
    await expect(readHeader(bufferSource(part(2), 'lonely.gguf'))).rejects.toThrow(/lonely\.gguf: it is part 2 of 3/);
  });
});
