import { describe, expect, it } from 'vitest';
import { runCase } from '../../src/model/case_runner';
import { argmaxCases, sampleCases } from '../../src/ops/sample/cases';
import { VARIANTS, withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);
const CASES = [...argmaxCases(SEED), ...sampleCases(SEED)];

describe.each(VARIANTS)('sampling cases of the self-test, $name', (variant) => {
  const device = withDevice(variant);

  it('have labels of their own', () => {
    expect(new Set(CASES.map(({ label }) => label)).size).toBe(CASES.length);
  });

  it.each(['f32', 'f16'] as const)('agree with the reference over %s logits', async (type) => {
    const gpu = await device();
    const own = CASES.filter(({ calls }) => calls[0].logits.type === type);
    expect(own.length).toBeGreaterThan(2);
    if (type === 'f16' && !gpu.capabilities.f16) return;
    for (const opCase of own) {
      for (const { tensor, ok } of await runCase(gpu, opCase, SEED)) {
        expect(ok, `seed ${SEED}: ${opCase.label}, ${tensor}`).toBe(true);
      }
    }
  });
});
