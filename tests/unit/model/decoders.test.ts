/** Decoders made of the shared parts: plans of all sizes compute the same, and files are refused by the key or tensor that is not understood. */
import { describe, expect, test } from 'vitest';
import { InvalidFileError, UnsupportedModelError } from '../../../src/errors';
import type { Gguf, GgufTensor } from '../../../src/formats/gguf/gguf';
import { halfToNumber, numberToHalf } from '../../../src/formats/half';
import { readModelSpec } from '../../../src/model/architecture';
import { layOut, plansOf } from '../../../src/model/layout';
import { bufferSource } from '../../../src/storage/byte_source';
import { fixtureWith, largestDifference, openFixture, planLogits } from '../../support/plan_logits';

const NAMES = [
  'gemma',
  'gemma2',
  'gemma4',
  'gemma4-moe',
  'granite',
  'mistral3',
  'olmo3-yarn',
  'phi3-long',
  'qwen2-yarn',
  'smollm3',
];

const read = (gguf: Gguf) => readModelSpec(gguf, 64, 2 ** 27);

test.each(NAMES)('%s: the plan of large steps computes what that of small ones does', async (name) => {
  const small = await planLogits(name, { minRows: 1, maxRows: 1 });
  const large = await planLogits(name, { minRows: 17, maxRows: 64 });
  expect(large.calls.length).toBeGreaterThan(small.calls.length);
  expect(Math.max(...small.logits)).toBeGreaterThan(1);
  expect(largestDifference(large.logits, small.logits)).toBeLessThan(1e-4);
});

test('gate and up that do not fit one binding are multiplied apart', async () => {
  const fused = await planLogits('gemma2', { minRows: 1, maxRows: 1 });
  const apart = await planLogits('gemma2', { minRows: 1, maxRows: 1 }, 10_000);
  const gated = (calls: typeof fused.calls) => calls.filter(({ op }) => op === 'glu').length;
  expect(gated(fused.calls)).toBe(0);
  expect(gated(apart.calls)).toBe(4);
  expect(largestDifference(apart.logits, fused.logits)).toBeLessThan(1e-4);
});

/** A fixture whose layers' values are stored as halves, or as the floats that those are. */
async function withValuesIn(type: 'F16' | 'F32') {
  const { source, gguf } = await openFixture('llama-gqa');
  const pieces = [await source.read(0, source.size)];
  let offset = Math.ceil(source.size / 32) * 32;
  pieces.push(new Uint8Array(offset - source.size));
  const tensors = new Map(gguf.tensors);
  for (const tensor of gguf.tensors.values()) {
    if (!tensor.name.endsWith('attn_v.weight')) continue;
    const bytes = await source.read(tensor.offset, tensor.byteLength);
    const halves = Uint16Array.from(new Float32Array(bytes.slice().buffer), numberToHalf);
    const values = type === 'F16' ? halves : Float32Array.from(halves, halfToNumber);
    pieces.push(new Uint8Array(values.buffer));
    tensors.set(tensor.name, { ...tensor, type, offset, byteLength: values.byteLength });
    offset += values.byteLength;
  }
  const bytes = await new Blob(pieces).arrayBuffer();
  return { source: bufferSource(bytes), gguf: { ...gguf, tensors } };
}

test('where queries, keys and values are not of one type, what agrees is one matmul, and nothing else is computed', async () => {
  const bucket = { minRows: 1, maxRows: 1 };
  const mixed = await planLogits(await withValuesIn('F16'), bucket);
  const plain = await planLogits(await withValuesIn('F32'), bucket);
  expect(mixed.calls.length).toBe(plain.calls.length + 3);
  expect(mixed.logits).toEqual(plain.logits);
  expect(largestDifference(mixed.logits, (await planLogits('llama-gqa', bucket)).logits)).toBeGreaterThan(0);
});

describe('a small step of a layer', () => {
  test.each([
    ['qwen2-yarn', 6],
    ['smollm3', 6],
    // Two norms more, after the branches.
    ['gemma2', 8],
    ['olmo3-yarn', 8],
  ])('of %s takes %i calls', async (name, perLayer) => {
    const { gguf } = await openFixture(name);
    const spec = read(gguf);
    const { calls } = await planLogits(name, { minRows: 1, maxRows: 1 });
    // Embedding, output head, argmax, sampler.
    expect((calls.filter(({ when }) => !when).length - 4) / spec.numLayers).toBe(perLayer);
  });
});

test('Gemma 4 caps its logits at 30 where the file says nothing, as llama.cpp does', async () => {
  const { gguf } = await openFixture('gemma4');
  const capOf = (metadata: Gguf['metadata']) => {
    const layout = layOut({ ...gguf, metadata }, { backend: 'reference', contextLength: 64 }, undefined);
    const head = plansOf(layout)[0].calls.findLast((call) => call.op === 'linear');
    return head?.softcap;
  };
  const key = 'gemma4.final_logit_softcapping';
  expect(capOf(gguf.metadata)).toBe(5);
  expect(capOf(new Map([...gguf.metadata].filter(([name]) => name !== key)))).toBe(30);
  expect(capOf(new Map([...gguf.metadata, [key, { type: 'f32', value: 0 }]]))).toBeUndefined();
});

describe('files that say what is not supported', () => {
  test.each([
    [
      'qwen2-yarn',
      { 'qwen2.rope.scaling.type': 'dynamic' },
      UnsupportedModelError,
      'qwen2.rope.scaling.type = dynamic',
    ],
    [
      'qwen2-yarn',
      { 'qwen2.rope.scaling.yarn_log_multiplier': -0.5 },
      InvalidFileError,
      'qwen2.rope.scaling.yarn_log_multiplier is -0.5',
    ],
    [
      'mistral3',
      { 'mistral3.attention.temperature_scale': 0.1, 'mistral3.attention.temperature_length': 32 },
      UnsupportedModelError,
      'contexts longer than 32',
    ],
    ['qwen2-yarn', { 'qwen2.rope.dimension_count': 20 }, InvalidFileError, 'qwen2.rope.dimension_count is 20'],
    ['qwen2-yarn', { 'qwen2.rope.scaling.factor': -4 }, InvalidFileError, 'qwen2.rope.scaling.factor is -4'],
    ['qwen2-yarn', { 'qwen2.rope.freq_base': 1 }, InvalidFileError, 'qwen2.rope.freq_base is 1'],
    ['qwen2-yarn', { 'qwen2.block_count': 2 ** 31 }, InvalidFileError, 'qwen2.block_count is 2147483648'],
    [
      'gemma2',
      { 'gemma2.attention.sliding_window': 24.5 },
      InvalidFileError,
      'gemma2.attention.sliding_window is 24.5',
    ],
    ['gemma4', { 'gemma4.rope.dimension_count_swa': 32 }, InvalidFileError, '32 dimensions rotate in heads of 16'],
    ['granite', { 'granite.residual_scale': -0.5 }, InvalidFileError, 'granite.residual_scale is -0.5'],
    ['granite', { 'granite.logit_scale': 0 }, InvalidFileError, 'granite.logit_scale is 0'],
    ['gemma', { 'gemma.attention.value_length': 16 }, UnsupportedModelError, 'gemma.attention.value_length 16'],
    ['gemma2', { 'gemma2.feed_forward_length': 34 }, UnsupportedModelError, 'gemma2.feed_forward_length 34'],
    ['gemma2', { 'gemma2.attention.key_length_swa': 8 }, UnsupportedModelError, 'gemma2.attention.key_length_swa = 8'],
    ['granite', { 'granite.nextn_predict_layers': 1 }, UnsupportedModelError, 'granite.nextn_predict_layers = 1'],
    ['granite', { 'granite.attention.causal': false }, UnsupportedModelError, 'granite.attention.causal = false'],
    ['gemma4-moe', { 'gemma4.expert_gating_func': 2 }, UnsupportedModelError, 'gemma4.expert_gating_func = 2'],
    ['gemma4', { 'gemma4.attention.shared_kv_layers': 4 }, InvalidFileError, 'layer 1 shares keys and values'],
    ['smollm3', { 'smollm3.attention.head_count_kv': 3 }, InvalidFileError, 'smollm3.attention.head_count 4'],
  ] as const)('%s with %o', async (name, keys, error, message) => {
    const gguf = await fixtureWith(name, keys);
    expect(() => read(gguf)).toThrow(error);
    expect(() => read(gguf)).toThrow(message);
  });

  test.each(['granite', 'gemma4', 'gemma4-moe', 'phi3-long'])('%s with a tensor too many or too few', async (name) => {
    const { gguf } = await openFixture(name);
    const norm = gguf.tensors.get('blk.0.attn_norm.weight') as GgufTensor;
    const more = new Map([...gguf.tensors, ['blk.0.attn_mystery.weight', norm]]);
    expect(() => read({ ...gguf, tensors: more })).toThrow(UnsupportedModelError);
    expect(() => read({ ...gguf, tensors: more })).toThrow('"blk.0.attn_mystery.weight"');
    const less = new Map([...gguf.tensors].filter(([key]) => key !== 'blk.1.ffn_down.weight'));
    expect(() => read({ ...gguf, tensors: less })).toThrow(InvalidFileError);
    expect(() => read({ ...gguf, tensors: less })).toThrow('"blk.1.ffn_down.weight"');
  });
});
