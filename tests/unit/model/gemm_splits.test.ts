import { describe, expect, test } from 'vitest';
import { LEAST_CAPABILITIES } from '../../../src/gpu/capabilities';
import type { LinearCall } from '../../../src/ops/calls';
import { gemmDispatches } from '../../../src/ops/linear/gemm';
import { linearTunings } from '../../../src/ops/linear/tuning';
import type { Dispatch, KernelTarget, RowBucket } from '../../../src/ops/op';
import type { StepShape } from '../../../src/ops/step_layout';
import type { GemmTuning } from '../../../src/ops/tuning';

function linearCall(rows: number, cols: number): LinearCall {
  return {
    op: 'linear',
    x: { name: 'x', cols, rows: 'step', type: 'f16' },
    weight: { name: 'w', format: 'q4_0', rows, cols },
    out: { name: 'out', cols: rows, rows: 'step', type: 'f16' },
    outColumn: 0,
    accumulate: false,
    epilogue: 'none',
  };
}

const GPU = { ...LEAST_CAPABILITIES, f16: true, dot4: true };

function targetOf(bucket: RowBucket, capabilities = GPU, tuning?: GemmTuning): KernelTarget {
  return {
    capabilities,
    bucket,
    kvType: 'f32',
    contextLength: 128,
    maxSampledRows: 1,
    maxSlots: 1,
    weightParts: ({ rows }) => [{ firstRow: 0, rows }],
    tuning: tuning && { linear: () => tuning },
  };
}

function step(rows: number): StepShape {
  return { rows, segments: 1, sampledRows: 0, tiles: 1, maxLength: rows, greedy: true };
}

/** What a step runs: the file of each kernel with the workgroups of its grid. */
function runs(dispatches: readonly Dispatch[], rows: number): { kernel: string; grid: readonly number[] }[] {
  return dispatches
    .map((dispatch) => ({
      kernel: dispatch.source.entry.replace(/.*linear_(.*)\.wgsl/, '$1'),
      grid: dispatch.workgroups(step(rows)),
    }))
    .filter(({ grid }) => grid.every((count) => count > 0));
}

function scratchBytes(dispatches: readonly Dispatch[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const binding of dispatches.flatMap(({ bindings }) => bindings)) {
    if (binding.kind === 'scratch') found[binding.name] = Math.max(found[binding.name] ?? 0, binding.bytes);
  }
  return found;
}

describe('columns that workgroups share', () => {
  test.each([
    [17, 32, 8],
    [48, 64, 4],
    [64, 32, 8],
    [256, 128, 2],
    [300, 160, 1],
  ])('a step of %i rows has %i tiles of 2048 × 2048 and %i workgroups for each', (rows, tiles, splits) => {
    const dispatches = gemmDispatches(linearCall(2048, 2048), targetOf({ minRows: 17, maxRows: 512 }));
    const [product, ...sums] = runs(dispatches, rows);
    expect(product.kernel).toBe('gemm');
    expect([product.grid[0] * product.grid[1], product.grid[2]]).toEqual([tiles, splits]);
    expect(sums.map(({ kernel }) => kernel)).toEqual(splits > 1 ? ['gemm_sum'] : []);
  });

  test('a matrix that fills the grid by itself, short rows and software adapters have none', () => {
    const bucket = { minRows: 49, maxRows: 512 };
    const none = (call: LinearCall, capabilities = GPU): void => {
      const dispatches = gemmDispatches(call, targetOf(bucket, capabilities));
      expect(dispatches).toHaveLength(1);
      expect(scratchBytes(dispatches)).toEqual({});
    };
    none(linearCall(16384, 2048));
    none(linearCall(1024, 448));
    none(linearCall(1024, 2048), { ...GPU, software: true });
  });

  test('scratch is as large as the largest step that splits needs it, however many rows others have', () => {
    for (const maxRows of [64, 512, 16384]) {
      const call = linearCall(2048, 2048);
      const dispatches = gemmDispatches(call, targetOf({ minRows: 49, maxRows }));
      const needed = Array.from({ length: Math.min(maxRows, 600) - 48 }, (_, i) => {
        const [product] = runs(dispatches, 49 + i);
        return product.grid[2] > 1 ? product.grid[2] * (49 + i) * 2048 * 4 : 0;
      });
      expect(scratchBytes(dispatches)['linear.partials']).toBe(Math.max(...needed));
    }
    // 512 workgroups, each with a tile of 128 × 64 sums.
    for (const tuning of linearTunings(linearCall(640, 8192), 'many', GPU) as GemmTuning[]) {
      const dispatches = gemmDispatches(linearCall(640, 8192), targetOf({ minRows: 17, maxRows: 4096 }, GPU, tuning));
      expect(scratchBytes(dispatches)['linear.partials'] ?? 0).toBeLessThanOrEqual(16 * 2 ** 20);
    }
  });

  test('sums count as traffic when they are written and when they are read', () => {
    const call = linearCall(2048, 2048);
    const whole = gemmDispatches(call, targetOf({ minRows: 300, maxRows: 300 }));
    const split = gemmDispatches(call, targetOf({ minRows: 17, maxRows: 300 }));
    const bytes = (dispatches: readonly Dispatch[], rows: number): number =>
      dispatches
        .filter((dispatch) => dispatch.workgroups(step(rows)).every((count) => count > 0))
        .reduce((sum, dispatch) => sum + dispatch.traffic(step(rows)), 0);
    expect(bytes(split, 300)).toBe(bytes(whole, 300));
    const alone = gemmDispatches(call, targetOf({ minRows: 64, maxRows: 64 }, { ...GPU, software: true }));
    expect(bytes(split, 64) - bytes(alone, 64)).toBe(2 * 8 * 64 * 2048 * 4);
  });
});

describe('4×8-bit products of many rows', () => {
  const codes: GemmTuning = {
    kernel: 'gemm',
    tileRows: 64,
    rowsPerLane: 8,
    kStep: 32,
    tileType: 'i8',
    unrolled: true,
    splitTo: 0,
  };
  const legal = (call: LinearCall, capabilities = GPU): boolean =>
    linearTunings(call, 'many', capabilities).some((tuning) => 'tileType' in tuning && tuning.tileType === 'i8');

  test('are a choice for integer codes with f16 activations where the device has the products', () => {
    const call = linearCall(512, 512);
    expect(legal(call)).toBe(true);
    expect(legal(call, { ...GPU, dot4: false })).toBe(false);
    expect(legal({ ...call, x: { ...call.x, type: 'f32' } })).toBe(false);
    expect(legal({ ...call, weight: { ...call.weight, format: 'f16' } })).toBe(false);
    expect(legal({ ...call, weight: { ...call.weight, format: 'iq4_nl' } })).toBe(false);
  });

  test('x is turned into codes once for all workgroups, in two bytes a value and a scale a vector', () => {
    const call = linearCall(512, 2048);
    const dispatches = gemmDispatches(call, targetOf({ minRows: 49, maxRows: 256 }, GPU, codes));
    expect(runs(dispatches, 200)).toEqual([
      { kernel: 'gemm_codes', grid: [1, 200, 1] },
      { kernel: 'gemm_dot4', grid: [8, 4, 1] },
    ]);
    expect(scratchBytes(dispatches)).toEqual({
      'linear.codes': 256 * 2048 * 2,
      'linear.code_scales': (256 * 2048) / 4,
    });
    expect(() => gemmDispatches(linearCall(512, 16384), targetOf({ minRows: 49, maxRows: 8192 }, GPU, codes))).toThrow(
      /more than the device binds/,
    );
  });
});
