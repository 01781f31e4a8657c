/** Models with experts: what their files may say, and that a plan computes the same however it is cut. */
import { describe, expect, test } from 'vitest';
import { InvalidFileError, UnsupportedModelError } from '../../../src/errors';
import { readModelSpec } from '../../../src/model/architecture';
import { splitByBindingLimit } from '../../../src/model/gpu_tensors';
import { stepCost } from '../../../src/model/step_cost';
import type { ExpertLinearCall, OpCall } from '../../../src/ops/calls';
import type { Activation } from '../../../src/ops/op';
import { planeBytes } from '../../../src/ops/weights/layout';
import { fixtureWith, largestDifference, planLogits } from '../../support/plan_logits';

describe('plans with experts', () => {
  test.each(['mixtral', 'qwen2moe'])('%s: sorted by expert or not, gate and up fused or not', async (name) => {
    const pairwise = await planLogits(name, { minRows: 1, maxRows: 16 });
    const grouped = await planLogits(name, { minRows: 17, maxRows: 64 });
    const apart = await planLogits(name, { minRows: 1, maxRows: 16 }, 16_000);
    const ops = (calls: readonly OpCall[]) => new Set(calls.map(({ op }) => op));
    expect(ops(grouped.calls)).toContain('group_experts');
    expect(ops(apart.calls)).toContain('glu');
    expect(ops(pairwise.calls)).not.toContain('glu');
    expect(Math.max(...pairwise.logits)).toBeGreaterThan(1);
    expect(largestDifference(grouped.logits, pairwise.logits)).toBeLessThan(1e-4);
    expect(largestDifference(apart.logits, pairwise.logits)).toBeLessThan(1e-4);
  });

  test('a weight lies in parts of whole experts where one fits, otherwise in parts of 64 rows', () => {
    const weight = { name: 'w', format: 'f32', rows: 5 * 100, cols: 32, stackRows: 100 } as const;
    const rowsOf = (limit: number) => splitByBindingLimit(weight, limit).map(({ rows }) => rows);
    expect(rowsOf(250 * 128)).toEqual([200, 200, 100]);
    expect(rowsOf(99 * 128)).toEqual([64, 64, 64, 64, 64, 64, 64, 52]);
  });
});

describe('the least cost of a step', () => {
  const step = (name: string, cols: number): Activation => ({ name, cols, rows: 'step', type: 'f32' });
  const call: ExpertLinearCall = {
    op: 'expert_linear',
    x: step('x', 64),
    weight: { name: 'w', format: 'q4_0', rows: 8 * 96, cols: 64, stackRows: 96 },
    experts: 8,
    routing: step('routing', 6),
    out: step('out', 3 * 96),
    outColumn: 0,
    combine: false,
    accumulate: false,
    epilogue: 'none',
  };

  test('counts the chosen experts alone, and none twice', () => {
    const { quants, scales } = planeBytes('q4_0', 96, 64);
    const cost = (rows: number) => stepCost([call], { rows, length: rows, sampledRows: 0 }, 'f16');
    expect(cost(1)).toEqual({ weightBytes: 3 * (quants + scales), kvBytes: 0, flops: 2 * 3 * 96 * 64 });
    expect(cost(100)).toEqual({ weightBytes: 8 * (quants + scales), kvBytes: 0, flops: 100 * 2 * 3 * 96 * 64 });
  });
});

describe('files that say what is not supported', () => {
  test.each([
    ['mixtral', { 'llama.expert_used_count': 6 }, InvalidFileError, 'llama.expert_used_count is 6, of 5 experts'],
    ['mixtral', { 'llama.expert_count': 4 }, InvalidFileError, 'blk.0.ffn_gate_inp.weight'],
    ['mixtral', { 'llama.expert_group_count': 4 }, UnsupportedModelError, 'llama.expert_group_count = 4'],
    ['olmoe', { 'olmoe.expert_weights_norm': true }, UnsupportedModelError, 'olmoe.expert_weights_norm = true'],
    ['gpt-oss', { 'gpt-oss.expert_gating_func': 2 }, UnsupportedModelError, 'gpt-oss.expert_gating_func = 2'],
    ['qwen2moe', { 'qwen2moe.expert_feed_forward_length': 36 }, InvalidFileError, 'blk.0.ffn_gate_exps.weight'],
  ] as const)('%s with %o', async (name, keys, error, message) => {
    const gguf = await fixtureWith(name, keys);
    const read = () => readModelSpec(gguf, 64, 2 ** 27);
    expect(read).toThrow(error);
    expect(read).toThrow(message);
  });
});
