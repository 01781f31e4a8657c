import { describe, expect, test } from 'vitest';
import { LEAST_CAPABILITIES } from '../../../src/gpu/capabilities';
import { caseKernels } from '../../../src/model/case_target';
import type { LinearCall } from '../../../src/ops/calls';
import {
  defaultLinearTuning,
  gemvOrders,
  LINEAR_ROW_TILES,
  linearTunings,
  tuningKey,
} from '../../../src/ops/linear/tuning';
import { linearTuningCase } from '../../../src/ops/linear/variant_cases';
import type { GemvOrder, LinearTuning } from '../../../src/ops/tuning';

function linearCall(rows: number, cols: number, traits: Partial<LinearCall> = {}): LinearCall {
  return {
    op: 'linear',
    x: { name: 'x', cols, rows: 'step', type: 'f32' },
    weight: { name: 'w', format: 'q4_0', rows, cols },
    out: { name: 'out', cols: rows, rows: 'step', type: 'f32' },
    outColumn: 0,
    accumulate: false,
    epilogue: 'none',
    ...traits,
  };
}

const CALLS: readonly (readonly [string, LinearCall])[] = [
  ['projection', linearCall(2048, 2048, { accumulate: true })],
  ['long rows', linearCall(896, 4864)],
  ['gated', linearCall(16384, 2048, { epilogue: 'swiglu', norm: { weight: { name: 'n', length: 2048 }, eps: 1e-5 } })],
  ['halves', linearCall(512, 576, { x: { name: 'x', cols: 576, rows: 'step', type: 'f16' } })],
  ['floats', linearCall(640, 96, { weight: { name: 'w', format: 'f32', rows: 640, cols: 96 } })],
];

describe.each(CALLS)('%s', (_, call) => {
  const capabilities = { ...LEAST_CAPABILITIES, f16: true, dot4: true, subgroups: true };
  const small = call.norm === undefined && call.epilogue === 'none' ? LINEAR_ROW_TILES : ([1, 4, 16] as const);

  test.each(small)('every tuning of %s rows makes a kernel at default limits', (tile) => {
    const orders = typeof tile === 'number' && tile <= 16 ? gemvOrders(call, capabilities) : [undefined];
    for (const order of orders) {
      const tunings = linearTunings(call, tile, capabilities, order);
      expect(tunings.length).toBeGreaterThan(0);
      const kernels = tunings.map(
        (tuning) => caseKernels(linearTuningCase(call, tile, tuning, 1), capabilities)?.variants,
      );
      expect(new Set(kernels).size).toBe(tunings.length);
    }
  });

  test('row tiles without a choice follow the order of sums that was chosen for one row', () => {
    for (const order of gemvOrders(call, capabilities)) {
      for (const tile of [4, 16] as const) {
        expect(defaultLinearTuning(call, tile, capabilities, order)).toMatchObject(order);
      }
    }
  });
});

test('a choice that sums in another order than one row, or does not run here, is refused', () => {
  const call = linearCall(2048, 2048);
  const capabilities = { ...LEAST_CAPABILITIES, f16: true };
  const split = linearTunings(call, 16, capabilities, {
    splitK: 4,
    arithmetic: 'float',
    reduction: 'workgroup',
  })[0];
  const whole = linearTunings(call, 1, capabilities, {
    splitK: 1,
    arithmetic: 'float',
    reduction: 'workgroup',
  })[0];
  const tuned = (linear: (key: string) => LinearTuning | undefined) => () =>
    caseKernels({ ...linearTuningCase(call, 16, split, 1), tuning: { linear } }, capabilities);
  expect(tuned(() => split)).not.toThrow();
  expect(tuned((key) => (key.endsWith('rows 1') ? whole : split))).toThrow(/cannot run with/);
  expect(tuned(() => ({ ...split, workgroupSize: 512 }) as LinearTuning)).toThrow(/cannot run with/);
});

test('a device with subgroups reduces by them unless its tuner found better, another one without them', () => {
  const call = linearCall(2048, 2048);
  const withSubgroups = { ...LEAST_CAPABILITIES, subgroups: true };
  expect(defaultLinearTuning(call, 1, withSubgroups)).toMatchObject({ reduction: 'subgroup' });
  expect(defaultLinearTuning(call, 1, LEAST_CAPABILITIES)).toMatchObject({ reduction: 'workgroup' });
  expect(new Set(gemvOrders(call, withSubgroups).map(({ reduction }) => reduction)).size).toBe(2);
  expect(gemvOrders(call, LEAST_CAPABILITIES).every(({ reduction }) => reduction === 'workgroup')).toBe(true);
  const kernels = (order: GemvOrder) =>
    caseKernels(linearTuningCase(call, 1, linearTunings(call, 1, withSubgroups, order)[0], 1), withSubgroups)?.files;
  expect(kernels({ splitK: 1, arithmetic: 'float', reduction: 'subgroup' })).toContain('reduce_subgroup');
  expect(kernels({ splitK: 1, arithmetic: 'float', reduction: 'workgroup' })).not.toContain('reduce_subgroup');
});

test('keys tell apart what runs other kernels', () => {
  const call = linearCall(2048, 2048);
  const others = [
    linearCall(2048, 2048, { accumulate: true }),
    linearCall(2048, 1024),
    linearCall(2048, 2048, { weight: { name: 'w', format: 'q8_0', rows: 2048, cols: 2048 } }),
  ];
  const keys = [tuningKey(call, 1), tuningKey(call, 4), ...others.map((other) => tuningKey(other, 1))];
  expect(new Set(keys).size).toBe(keys.length);
  expect(tuningKey({ ...call, weight: { ...call.weight, name: 'another layer' } }, 1)).toBe(keys[0]);
});

test('matrix units are a choice where their shapes fit, and never the default', () => {
  const call = linearCall(2048, 2048);
  const shape = { componentType: 'f32', resultComponentType: 'f32', M: 8, N: 8, K: 8 };
  const capabilities = {
    ...LEAST_CAPABILITIES,
    subgroups: true,
    subgroupMinSize: 32,
    subgroupMaxSize: 32,
    subgroupMatrix: true,
    subgroupMatrixShapes: [shape, { ...shape, componentType: 'i8' }, { ...shape, K: 64 }],
  };
  const onUnits = linearTunings(call, 'many', capabilities).filter((tuning) => 'matrix' in tuning);
  expect(onUnits.filter((tuning) => 'splitTo' in tuning && tuning.splitTo === 0)).toHaveLength(1);
  expect(caseKernels(linearTuningCase(call, 'many', onUnits[0], 1), capabilities)?.files).toContain(
    'linear_gemm_matrix',
  );
  expect(defaultLinearTuning(call, 'many', capabilities)).not.toHaveProperty('matrix');
  expect(linearTunings(call, 'many', LEAST_CAPABILITIES).some((tuning) => 'matrix' in tuning)).toBe(false);
});
