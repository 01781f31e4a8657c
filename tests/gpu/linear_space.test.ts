/**
 * Dawn's null backend translates and validates shaders and computes nothing: in moments it sees that Dawn takes every variant that a tuner
 * may choose at WebGPU's default limits, and those for matrix units, which no adapter of ours has. That they are right is seen elsewhere
 * (linear.test.ts, linear_invariance.test.ts), for matrix units with their functions written out (matrix_units.test.ts).
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { create } from 'webgpu';
import type { WeightFormat } from '../../src/formats/weight_format';
import type { Capabilities } from '../../src/gpu/capabilities';
import { GpuDevice } from '../../src/gpu/device';
import { caseTarget } from '../../src/model/case_target';
import { splitByBindingLimit } from '../../src/model/gpu_tensors';
import { planDispatches } from '../../src/model/webgpu_executor';
import type { LinearCall, OpCall } from '../../src/ops/calls';
import { expertTuningCases } from '../../src/ops/experts/variant_cases';
import { gemvOrders, LINEAR_ROW_TILES, type LinearRowTile, linearTunings } from '../../src/ops/linear/tuning';
import { linearTuningCase } from '../../src/ops/linear/variant_cases';
import type { Activation, ActivationType, Weight } from '../../src/ops/op';
import type { LinearTuning } from '../../src/ops/tuning';

let gpu: GpuDevice;
beforeAll(async () => {
  const nullGpu: GPU = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
  gpu = await GpuDevice.create({ gpu: nullGpu, defaultLimits: true });
});
afterAll(() => gpu.dispose());

function linearCall(format: WeightFormat, type: ActivationType, cols: number, fused: boolean): LinearCall {
  const activation = (name: string, width: number): Activation => ({ name, cols: width, rows: 'step', type });
  return {
    op: 'linear',
    x: activation('x', cols),
    weight: { name: 'w', format, rows: 100, cols },
    out: activation('out', fused ? 50 : 100),
    outColumn: 0,
    norm: fused ? { weight: { name: 'norm', length: cols }, eps: 1e-5 } : undefined,
    bias: fused ? undefined : { name: 'bias', length: 100 },
    accumulate: !fused,
    epilogue: fused ? 'swiglu' : 'none',
  };
}

/** Compiles what a call runs with a tuning; gives the shader files. */
async function compile(call: LinearCall, tile: LinearRowTile, tuning: LinearTuning, capabilities: Capabilities) {
  const opCase = linearTuningCase(call, tile, tuning, 1);
  const target = caseTarget(opCase, capabilities, (weight) => splitByBindingLimit(weight, 2 ** 27));
  return Promise.all(
    planDispatches(opCase.calls, target).map(async ({ dispatch }) => {
      const access = dispatch.bindings.map((binding) => ('access' in binding ? binding.access : 'read'));
      await gpu.pipelines.get(dispatch.source, access);
      return dispatch.source.entry;
    }),
  );
}

test.each([
  { format: 'q4_0', type: 'f16', cols: 2048, fused: true },
  { format: 'q6_k', type: 'f16', cols: 2048, fused: false },
  { format: 'f32', type: 'f32', cols: 2080, fused: false },
] as const)('every tuning of $format compiles at default limits', async ({ format, type, cols, fused }) => {
  const call = linearCall(format, type, cols, fused);
  const seen = new Set<string>();
  for (const tile of LINEAR_ROW_TILES) {
    const small = typeof tile === 'number' && tile <= 16;
    if (fused && !small) continue;
    const { capabilities } = gpu;
    // Both reductions for one row; they have nothing to do with the other tiles, which take one each.
    const orders = gemvOrders(call, capabilities).filter(
      ({ reduction }) => tile === 1 || (reduction === 'subgroup') === (tile === 4),
    );
    for (const order of small ? orders : [undefined]) {
      const tunings = linearTunings(call, tile, capabilities, order);
      const entries = await Promise.all(tunings.map((tuning) => compile(call, tile, tuning, capabilities)));
      for (const entry of entries.flat()) seen.add(entry);
    }
  }
  expect(seen).toContain('ops/linear_gemv.wgsl');
  expect(seen).toContain('ops/linear_gemv_direct.wgsl');
  expect(seen.has('ops/linear_gemv_dot4.wgsl')).toBe(type === 'f16');
  expect(seen.has('ops/linear_gemm.wgsl')).toBe(!fused);
  expect(gpu.capabilities.subgroups).toBe(true);
  expect(seen.has('ops/linear_gemm_sum.wgsl')).toBe(!fused);
  expect(seen.has('ops/linear_gemm_dot4.wgsl')).toBe(!fused && type === 'f16');
});

test('every tuning of the expert kernels compiles at default limits', async () => {
  const cases = expertTuningCases(gpu.capabilities, 1);
  const seen = await Promise.all(
    cases.map(async (opCase) => {
      const parts = (weight: Weight) => splitByBindingLimit(weight, 2 ** 27);
      const target = caseTarget(opCase, gpu.capabilities, parts);
      for (const { dispatch } of planDispatches(opCase.calls as readonly OpCall[], target)) {
        const access = dispatch.bindings.map((binding) => ('access' in binding ? binding.access : 'read'));
        await gpu.pipelines.get(dispatch.source, access);
      }
      return opCase.label;
    }),
  );
  expect(seen.length).toBeGreaterThan(100);
});

test.each([
  { type: 'f32', format: 'q4_0', M: 8, N: 8, K: 8 },
  { type: 'f16', format: 'q6_k', M: 16, N: 16, K: 16 },
  { type: 'f16', format: 'f32', M: 8, N: 16, K: 32 },
] as const)('matrix units of $type, $M×$N×$K: the kernel compiles', async ({ type, format, M, N, K }) => {
  expect(gpu.capabilities.subgroupMatrix).toBe(true);
  const capabilities = {
    ...gpu.capabilities,
    subgroupMinSize: 32,
    subgroupMaxSize: 32,
    subgroupMatrixShapes: [{ componentType: type, resultComponentType: 'f32', M, N, K }],
  };
  const call = linearCall(format, type, 512, false);
  const onUnits = linearTunings(call, 'many', capabilities).filter((tuning) => 'matrix' in tuning);
  expect(onUnits.length).toBeGreaterThan(0);
  for (const tuning of onUnits) {
    expect((await compile(call, 'many', tuning, capabilities))[0]).toBe('ops/linear_gemm_matrix.wgsl');
  }
});
