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

  it.each(['rms_norm', 'swiglu', 'rope_kv', 'attention decode', 'attention prefill'])(
    '%s agrees with the reference',
    async (op) => {
      const gpu = await device();
      const own = CASES.filter((opCase) => opCase.label.startsWith(op) && (gpu.capabilities.f16 || !needsF16(opCase)));
      expect(own.length).toBeGreaterThan(3);
      for (const opCase of own) {
        for (const { tensor, error, budget } of await runCase(gpu, opCase, SEED)) {
          expect(error, `seed ${SEED}: ${opCase.label}, ${tensor}`).toBeLessThanOrEqual(budget);
        }
      }
    },
  );
});
