import { describe, expect, test } from 'vitest';
import { runCase } from '../../src/model/case_runner';
import { embedCases } from '../../src/ops/embed_cases';
import { VARIANTS, withDevice } from './variants';

const SEED = 4711;

describe.each(VARIANTS)('embed, $name', (variant) => {
  const device = withDevice(variant);
  test.each(embedCases(SEED).map((opCase) => ({ name: opCase.label, opCase })))('$name', async ({ opCase }) => {
    const gpu = await device();
    const halves = gpu.capabilities.f16;
    const { out } = opCase.calls[0];
    // Without shader-f16 the planner asks for f32 activations only.
    const tensor = { ...out, type: halves ? out.type : ('f32' as const) };
    const suited = {
      ...opCase,
      calls: [{ ...opCase.calls[0], out: tensor }],
      outputs: [{ ...opCase.outputs[0], tensor }],
    };
    const outcomes = await runCase(gpu, suited, SEED);
    expect(outcomes).toEqual(outcomes.map((outcome) => ({ ...outcome, ok: true })));
  });
});
