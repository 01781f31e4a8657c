import { describe, expect, test } from 'vitest';
import { runCase } from '../../src/model/case_runner';
import { linearCases } from '../../src/ops/linear/cases';
import { VARIANTS, withDevice } from './variants';

const SEED = 20261;

describe.each(VARIANTS)('linear, $name', (variant) => {
  const device = withDevice(variant);
  test.each(linearCases(SEED).map((opCase, i) => ({ name: opCase.label, opCase, i })))(
    '$name',
    async ({ opCase, i }) => {
      const gpu = await device();
      if (!gpu.capabilities.f16 && opCase.calls.some(({ x }) => x.type === 'f16')) {
        // The planner gives such a device f32 activations: the same shapes in f32 must hold there.
        const f32 = linearCases(SEED)[i];
        const call = f32.calls[0];
        const out = { ...call.out, type: 'f32' as const };
        const outcomes = await runCase(
          gpu,
          {
            ...f32,
            calls: [{ ...call, x: { ...call.x, type: 'f32' }, out }],
            outputs: [{ tensor: out, budget: 1e-9 }],
          },
          SEED,
        );
        expect(outcomes).toEqual(outcomes.map((outcome) => ({ ...outcome, ok: true })));
        return;
      }
      const outcomes = await runCase(gpu, opCase, SEED);
      expect(outcomes).toEqual(outcomes.map((outcome) => ({ ...outcome, ok: true })));
    },
  );
});
