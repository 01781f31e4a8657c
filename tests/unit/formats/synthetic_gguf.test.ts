import { expect, it } from 'vitest';
import { decodeRow } from '../../../src/formats/dequantize';
import { getNumber, getStringArray } from '../../../src/formats/gguf/gguf';
import { readGguf } from '../../../src/formats/gguf/read_gguf';
import { syntheticGgufSource } from '../../support/synthetic_gguf';

it('a gigabyte model costs a header to open and a chunk at a time to read', async () => {
  const held = process.memoryUsage().arrayBuffers;
  const source = syntheticGgufSource({ bytes: 1e9 });
  expect(Math.abs(source.size / 1e9 - 1)).toBeLessThan(0.05);
  const gguf = await readGguf(source);
  expect(gguf.tensors.size).toBe(2 + 9 * getNumber(gguf, 'llama.block_count'));
  expect(getStringArray(gguf, 'tokenizer.ggml.tokens').length).toBe(getNumber(gguf, 'llama.vocab_size'));
  const last = [...gguf.tensors.values()].at(-1);
  expect((last?.offset ?? 0) + (last?.byteLength ?? 0)).toBe(source.size);
  const start = source.size - (40 << 20);
  for await (const chunk of source.stream(start, source.size - start))
    expect(chunk.length).toBeLessThanOrEqual(4 << 20);
  expect(process.memoryUsage().arrayBuffers - held).toBeLessThan(100 << 20);
});

it('its bytes do not depend on how they are read, and its weights are sane', async () => {
  const dims = { hiddenSize: 64, intermediateSize: 96, numHeads: 4, numKvHeads: 2, numLayers: 2, vocabSize: 300 };
  const source = syntheticGgufSource(dims);
  const whole = await source.read(0, source.size);
  for (let at = 0; at < source.size; at += 997) {
    const piece = await source.read(at, Math.min(997, source.size - at));
    expect(Buffer.compare(piece, whole.subarray(at, at + piece.length))).toBe(0);
  }
  const gguf = await readGguf(source);
  const down = gguf.tensors.get('blk.1.ffn_down.weight');
  const norm = gguf.tensors.get('blk.0.attn_norm.weight');
  if (!down || !norm) throw new Error('a tensor is missing');
  expect(down.shape).toEqual([96, 64]);
  const row = decodeRow('q8_0', whole.subarray(down.offset), 96);
  expect(row.every((value) => Math.abs(value) < 2)).toBe(true);
  expect(new Set(row).size).toBeGreaterThan(30);
  expect([...decodeRow('f32', whole.subarray(norm.offset), 64)]).toEqual(Array.from({ length: 64 }, () => 1));
});
