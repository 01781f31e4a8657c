/**
 * No adapter of ours has subgroup matrices. Dawn's null backend has them all: it translates and validates shaders and computes nothing.
 * So this sees that the kernel is what Dawn takes, not that it is right: that is for the trial before a tuner's choice.
 */
import { afterAll, expect, test } from 'vitest';
import { create } from 'webgpu';
import { GpuDevice } from '../../src/gpu/device';
import { caseTarget } from '../../src/model/case_target';
import { splitByBindingLimit } from '../../src/model/gpu_tensors';
import { planDispatches } from '../../src/model/webgpu_executor';
import type { LinearCall } from '../../src/ops/calls';
import { linearTunings } from '../../src/ops/linear/tuning';
import { linearTuningCase } from '../../src/ops/linear/variant_cases';
import type { ActivationType } from '../../src/ops/op';

const nullGpu: GPU = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
let gpu: GpuDevice | undefined;
afterAll(() => gpu?.dispose());

test.each([
  { type: 'f32', format: 'q4_0', M: 8, N: 8, K: 8, count: 1 },
  { type: 'f16', format: 'q6_k', M: 16, N: 16, K: 16, count: 2 },
  { type: 'f16', format: 'f32', M: 8, N: 16, K: 32, count: 1 },
] as const)('$type operands of $M×$N×$K compile', async ({ type, format, M, N, K, count }) => {
  gpu ??= await GpuDevice.create({ gpu: nullGpu, without: ['dot4'] });
  expect(gpu.capabilities.subgroupMatrix).toBe(true);
  const capabilities = {
    ...gpu.capabilities,
    subgroupMinSize: 32,
    subgroupMaxSize: 32,
    subgroupMatrixShapes: [{ componentType: type, resultComponentType: 'f32', M, N, K }],
  };
  const activation = (name: string, cols: number) =>
    ({ name, cols, rows: 'step', type: type as ActivationType }) as const;
  const call: LinearCall = {
    op: 'linear',
    x: activation('x', 512),
    weight: { name: 'w', format, rows: 100, cols: 512 },
    out: activation('out', 100),
    outColumn: 0,
    bias: { name: 'bias', length: 100 },
    accumulate: true,
    epilogue: 'none',
  };
  const onUnits = linearTunings(call, 'many', capabilities).filter((tuning) => 'matrix' in tuning);
  expect(onUnits).toHaveLength(count);
  for (const tuning of onUnits) {
    const opCase = linearTuningCase(call, 'many', tuning, 1);
    const target = caseTarget(opCase, capabilities, (weight) => splitByBindingLimit(weight, 2 ** 27));
    for (const { dispatch } of planDispatches(opCase.calls, target)) {
      expect(dispatch.source.entry).toBe('ops/linear_gemm_matrix.wgsl');
      const access = dispatch.bindings.map((binding) => ('access' in binding ? binding.access : 'read'));
      await gpu.pipelines.get(dispatch.source, access);
    }
  }
});
