import { describe, expect, it } from 'vitest';
import { runCase } from '../../src/model/case_runner';
import { needsF16 } from '../../src/model/selftest';
import { attentionCases } from '../../src/ops/attention/cases';
import { rmsNormCases } from '../../src/ops/rms_norm';
import { ropeKvCases } from '../../src/ops/rope_kv';
import { swigluCases } from '../../src/ops/swiglu';
import { VARIANTS, withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);
const CASES = [...rmsNormCases(SEED), ...swigluCases(SEED), ...ropeKvCases(SEED), ...attentionCases(SEED)];

describe.each(VARIANTS)('norm, SwiGLU, rotary and attention cases, $name', (variant) => {
  const device = withDevice(variant);

  it('have labels of their own', () => {
    expect(new Set(CASES.map(({ label }) => label)).size).toBe(CASES.length);
  });

  // A device without shader-f16 cannot hold f16 activations: such a case is none of its variants.
  it.each(CASES)('$label agrees with the reference', async (opCase) => {
    const gpu = await device();
    if (needsF16(opCase) && !gpu.capabilities.f16) return;
    const outcomes = await runCase(gpu, opCase, SEED);
    expect(outcomes.length).toBe(opCase.outputs.length);
    for (const { tensor, error, budget } of outcomes) {
      expect(error, `seed ${SEED}: ${tensor}`).toBeLessThanOrEqual(budget);
    }
  });
});
