import { describe, expect, it } from 'vitest';
import { InvalidOptionError } from '../../../src/errors';
import type { DeviceLimits } from '../../../src/gpu/capabilities';
import { normalisedError } from '../../../src/model/case_runner';
import { layOut } from '../../../src/model/layout';
import { memoryNeeds, preflightContext } from '../../../src/model/memory';
import { normals, seededRandom } from '../../../src/model/random';
import { syntheticModel } from '../../../src/model/synthetic';
import { decodeKv, encodeKv, kvRounded } from '../../../src/ops/kv_codec';
import { KV_TYPES, type KvType } from '../../../src/ops/op';

const SEED = Math.floor(Math.random() * 2 ** 31);
const SHAPE: Parameters<typeof syntheticModel>[1] = {
  numLayers: 2,
  hiddenSize: 128,
  intermediateSize: 128,
  numHeads: 2,
  numKvHeads: 1,
  headDim: 64,
  vocabSize: 512,
  contextLength: 64,
  ropeTheta: 10_000,
  tied: true,
};

function layout(kvType: KvType, headDim: number, backend: 'webgpu' | 'reference' = 'webgpu') {
  const { gguf } = syntheticModel('kv', { ...SHAPE, headDim }, 'f16');
  return layOut(gguf, { backend, kvType }, undefined);
}

describe('KV types', () => {
  it.each([
    ['f32', 4],
    ['f16', 2],
    ['q8_0', 36 / 32],
    ['q4_0', 20 / 32],
  ] as const)('%s takes %d bytes a value', (kvType, bytes) => {
    const { spec, limits } = layout(kvType, 64);
    const values = 2 * SHAPE.numLayers * SHAPE.numKvHeads * limits.numPages * limits.pageSize * 64;
    expect(memoryNeeds(spec, [], [], { ...limits, kvType }).kv).toBe(values * bytes);
  });

  it.each(['q8_0', 'q4_0'] as const)(
    '%s refuses heads that its blocks do not fill, before anything is allocated',
    (kvType) => {
      for (const backend of ['webgpu', 'reference'] as const) {
        const laying = () => layout(kvType, 40, backend);
        expect(laying).toThrow(InvalidOptionError);
        expect(laying).toThrow(/blocks of 32 values, and the heads of layer 0 have 40/);
      }
      expect(layout(kvType, 96, 'reference').kvType).toBe(kvType);
    },
  );

  it('a context that no buffer holds is refused with the type that would hold it', () => {
    const limits = { maxBufferSize: 2 ** 20, maxStorageBufferBindingSize: 2 ** 20 } as DeviceLimits;
    const refusal = (headDim: number, contextLength: number) => () =>
      preflightContext(layout('f16', headDim).spec, { contextLength, maxRows: 256, kvType: 'f16' }, limits);
    // 64 values of two bytes a position: 8192 positions fill the buffer.
    expect(refusal(64, 8192)).not.toThrow();
    expect(refusal(64, 12_000)).toThrow(/largest context that fits in f16 is 8192, and q8_0 would hold this one/);
    expect(refusal(64, 20_000)).toThrow(/q4_0 would hold/);
    expect(refusal(40, 20_000)).toThrow(/is 13088$/);
  });

  it.each(KV_TYPES)('%s gives back what was written, as exactly as its bits allow', (kvType) => {
    const values = normals(20 * 32, seededRandom(SEED));
    values.fill(0, 32, 64);
    values[64] = -9;
    const back = decodeKv(encodeKv(values, kvType), kvType, values.length);
    const bits = { f32: 0, f16: 1e-6, q8_0: 1e-4, q4_0: 2e-2 };
    expect(normalisedError(back, values), `seed ${SEED}`).toBeLessThanOrEqual(bits[kvType]);
    expect(back.slice(32, 64).every((value) => value === 0)).toBe(true);
    // The value of largest magnitude loses nothing but the scale's last bit.
    expect(back[64]).toBeCloseTo(-9, 5);
    if (kvType === 'q8_0' || kvType === 'q4_0') expect(normalisedError(kvRounded(values, kvType), back)).toBe(0);
  });
});
