/**
 * No adapter of ours has matrix units. What their kernel computes with them is seen here all the same: on an ordinary GPU, with the units'
 * functions written out (matrix_emulation.ts). That Dawn takes the kernel as it is is seen in linear_space.test.ts.
 */
import { describe, expect, it } from 'vitest';
import { BLOCK_FORMATS } from '../../src/formats/blocks';
import { WEIGHT_FORMATS, type WeightFormat } from '../../src/formats/weight_format';
import type { GpuDevice } from '../../src/gpu/device';
import { PipelineCache } from '../../src/gpu/pipelines';
import { allShaderSources } from '../../src/gpu/shader_sources';
import { runCase } from '../../src/model/case_runner';
import type { LinearCall } from '../../src/ops/calls';
import { linearTunings } from '../../src/ops/linear/tuning';
import { linearTuningCase } from '../../src/ops/linear/variant_cases';
import type { Activation } from '../../src/ops/op';
import type { GemmTuning } from '../../src/ops/tuning';
import { emulatedMatrixUnits } from '../support/matrix_emulation';
import { withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);
const KERNEL = 'ops/linear_gemm_matrix.wgsl';

/** The same device as one with units of this shape. */
async function withUnits(gpu: GpuDevice, type: 'f32' | 'f16', M: number, N: number, K: number): Promise<GpuDevice> {
  const sources = await allShaderSources();
  const emulated = new Map([...sources, [KERNEL, emulatedMatrixUnits(sources.get(KERNEL) ?? '')]]);
  return Object.create(gpu, {
    pipelines: { value: new PipelineCache(gpu.device, emulated) },
    capabilities: {
      value: {
        ...gpu.capabilities,
        subgroupMatrix: true,
        subgroupMinSize: 32,
        subgroupMaxSize: 32,
        subgroupMatrixShapes: [{ componentType: type, resultComponentType: 'f32', M, N, K }],
      },
    },
  }) as GpuDevice;
}

/** What Apple's, NVIDIA's and Intel's units multiply, and others that a tile is made of. */
const UNITS = [
  { type: 'f32', M: 8, N: 8, K: 8 },
  { type: 'f16', M: 8, N: 8, K: 8 },
  { type: 'f16', M: 16, N: 8, K: 16 },
  { type: 'f16', M: 16, N: 16, K: 16 },
  { type: 'f16', M: 8, N: 16, K: 32 },
] as const;

function callOf(format: WeightFormat, type: 'f32' | 'f16'): LinearCall {
  const cols = BLOCK_FORMATS[format].blockSize === 256 ? 512 : 96;
  const activation = (name: string, width: number): Activation => ({ name, cols: width, rows: 'step', type });
  return {
    op: 'linear',
    x: activation('x', cols),
    weight: { name: 'w', format, rows: 100, cols },
    out: activation('out', 100),
    outColumn: 0,
    bias: { name: 'bias', length: 100 },
    accumulate: true,
    epilogue: 'none',
  };
}

describe('the kernel for matrix units', () => {
  const device = withDevice({ name: 'full', options: {} });
  const everything = process.env['TESSERA_MATRIX'] === 'full';

  it.each(everything ? UNITS : [UNITS[0], UNITS[1 + (SEED % (UNITS.length - 1))]])(
    'of $type, $M×$N×$K, agrees with the reference over any format',
    async ({ type, M, N, K }) => {
      const units = await withUnits(await device(), type, M, N, K);
      const variants = WEIGHT_FORMATS.flatMap((format) => {
        const call = callOf(format, type);
        const tunings = linearTunings(call, 'many', units.capabilities).filter((tuning) => 'matrix' in tuning);
        expect(new Set(tunings.map((tuning) => (tuning as GemmTuning).tileRows))).toEqual(new Set([64, 128]));
        return tunings.map((tuning) => ({ call, tuning }));
      });
      const drawn = (SEED >>> 4) % variants.length;
      for (const { call, tuning } of everything ? variants : variants.slice(drawn, drawn + 1)) {
        const [{ error, budget }] = await runCase(units, linearTuningCase(call, 'many', tuning, SEED), SEED);
        const label = `seed ${SEED}: ${call.weight.format} ${JSON.stringify(tuning)}`;
        expect(error, label).toBeLessThanOrEqual(budget);
      }
    },
    1_200_000,
  );
});
