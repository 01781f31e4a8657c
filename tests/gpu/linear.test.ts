import { describe, expect, test } from 'vitest';
import { runCase } from '../../src/model/case_runner';
import { linearCases } from '../../src/ops/linear/cases';
import { linearPairCases } from '../../src/ops/linear/pair_cases';
import { linearVariantCases } from '../../src/ops/linear/variant_cases';
import { casesByVariant, withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);
const CASES = [...linearCases(SEED), ...linearVariantCases(SEED), ...linearPairCases(SEED)];

// GEMV has another reduction with subgroups; formats and row tiles have nothing to do with it, so cases take turns.
describe.each(await casesByVariant(CASES, SEED))('linear, $name', ({ variant, cases }) => {
  const device = withDevice(variant);
  test.each(cases)('$label', async (opCase) => {
    const outcomes = await runCase(await device(), opCase, SEED);
    expect(outcomes, `seed ${SEED}`).toEqual(outcomes.map((outcome) => ({ ...outcome, ok: true })));
  });
});
