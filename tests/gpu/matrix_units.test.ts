/**
 * No adapter of ours has matrix units. What their kernel computes with them is seen here all the same: on an ordinary GPU, with the units'
 * functions written out (matrix_emulation.ts). That Dawn takes the kernel as it is is seen in linear_space.test.ts.
 */
import { describe, expect, it } from 'vitest';
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

const OTHERS = [
  { type: 'f16', format: 'q6_k', cols: 512, M: 16, N: 16, K: 16 },
  { type: 'f16', format: 'f32', cols: 72, M: 8, N: 16, K: 32 },
] as const;

describe('the kernel for matrix units', () => {
  const device = withDevice({ name: 'full', options: {} });

  // The others take a minute each, for all that a lane does here in place of its subgroup.
  const others = process.env['TESSERA_MATRIX'] === 'full' ? OTHERS : [];
  const first = { type: 'f32', format: 'q4_0', cols: 96, M: 8, N: 8, K: 8 } as const;
  it.each([first, ...others])(
    'of $type, $M×$N×$K, agrees with the reference over $format',
    async ({ type, format, cols, M, N, K }) => {
      const units = await withUnits(await device(), type, M, N, K);
      const activation = (name: string, width: number): Activation => ({ name, cols: width, rows: 'step', type });
      const call: LinearCall = {
        op: 'linear',
        x: activation('x', cols),
        weight: { name: 'w', format, rows: 100, cols },
        out: activation('out', 100),
        outColumn: 0,
        bias: { name: 'bias', length: 100 },
        accumulate: true,
        epilogue: 'none',
      };
      const tunings = linearTunings(call, 'many', units.capabilities).filter((tuning) => 'matrix' in tuning);
      expect(tunings.length).toBeGreaterThan(0);
      expect(new Set(tunings.map((tuning) => (tuning as GemmTuning).tileRows))).toEqual(new Set([64, 128]));
      const drawn = SEED % tunings.length;
      for (const tuning of others.length > 0 ? tunings : tunings.slice(drawn, drawn + 1)) {
        const [{ error, budget }] = await runCase(units, linearTuningCase(call, 'many', tuning, SEED), SEED);
        expect(error, `seed ${SEED}: ${JSON.stringify(tuning)}`).toBeLessThanOrEqual(budget);
      }
    },
    300_000,
  );
});
