import { describe, expect, test } from 'vitest';
import { runCase } from '../../src/model/case_runner';
import { expertCases } from '../../src/ops/experts/cases';
import { expertVariantCases } from '../../src/ops/experts/variant_cases';
import { casesByVariant, withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);
const CASES = [...expertCases(SEED), ...expertVariantCases(SEED)];

describe.each(await casesByVariant(CASES, SEED))('experts, $name', ({ variant, cases }) => {
  const device = withDevice(variant);
  test.each(cases)('$label', async (opCase) => {
    const outcomes = await runCase(await device(), opCase, SEED);
    expect(outcomes, `seed ${SEED}`).toEqual(outcomes.map((outcome) => ({ ...outcome, ok: true })));
  });
});
