import { describe, expect, it } from 'vitest';
import { runCase } from '../../src/model/case_runner';
import { dolaCases } from '../../src/ops/dola_cases';
import { guideLogitsCases } from '../../src/ops/guide_logits_cases';
import { maskLogitsCases } from '../../src/ops/mask_logits_cases';
import { argmaxCases } from '../../src/ops/sample/argmax_cases';
import { sampleCases } from '../../src/ops/sample/cases';
import { BARE, casesByVariant, withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);
const CASES = [
  ...maskLogitsCases(SEED),
  ...dolaCases(SEED),
  ...guideLogitsCases(SEED),
  ...argmaxCases(SEED),
  ...sampleCases(SEED),
];
const RUNS = await casesByVariant(CASES);

describe.each(RUNS)('sampling cases of the self-test, $name', ({ variant, cases }) => {
  const device = withDevice(variant);

  it.each(cases)('$label agrees with the reference', async (opCase) => {
    for (const { tensor, ok } of await runCase(await device(), opCase, SEED)) {
      expect(ok, `seed ${SEED}: ${tensor}`).toBe(true);
    }
  });
});

// The other sampler tests rely on this: they run on the least able variant alone.
it('the sampler over f32 logits is the same kernel on every variant', () => {
  const f32 = CASES.filter(({ calls }) => calls[0].logits.type === 'f32');
  expect(f32.length).toBeGreaterThan(2);
  const bare = RUNS.find(({ variant }) => variant === BARE);
  expect(bare?.cases).toEqual(f32);
  for (const { variant, cases } of RUNS) {
    if (variant !== BARE) expect(cases.filter((opCase) => f32.includes(opCase))).toEqual([]);
  }
});
