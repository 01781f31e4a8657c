import { describe, expect, test } from 'vitest';
import { runCase } from '../../src/model/case_runner';
import type { LinearCall } from '../../src/ops/calls';
import { linearCases } from '../../src/ops/linear/cases';
import type { OpCase } from '../../src/ops/op';
import { VARIANTS, withDevice } from './variants';

const SEED = 20261;

/** The same shapes with f32 activations, which is what the planner asks for where there is no shader-f16. */
function inF32(opCase: OpCase<LinearCall>): OpCase<LinearCall> {
  const [call] = opCase.calls;
  const out = { ...call.out, type: 'f32' } as const;
  return {
    ...opCase,
    calls: [{ ...call, x: { ...call.x, type: 'f32' }, out }],
    outputs: [{ tensor: out, budget: 1e-9 }],
  };
}

describe.each(VARIANTS)('linear, $name', (variant) => {
  const device = withDevice(variant);
  test.each(linearCases(SEED).map((opCase) => ({ name: opCase.label, opCase })))('$name', async ({ opCase }) => {
    const gpu = await device();
    const outcomes = await runCase(gpu, gpu.capabilities.f16 ? opCase : inF32(opCase), SEED);
    expect(outcomes).toEqual(outcomes.map((outcome) => ({ ...outcome, ok: true })));
  });
});
