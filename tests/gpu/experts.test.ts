import { describe, expect, test } from 'vitest';
import { runCase } from '../../src/model/case_runner';
import { expertCases } from '../../src/ops/experts/cases';
import { casesByVariant, withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);

describe.each(await casesByVariant(expertCases(SEED), SEED))('experts, $name', ({ variant, cases }) => {
  const device = withDevice(variant);
  test.each(cases)('$label', async (opCase) => {
    const outcomes = await runCase(await device(), opCase, SEED);
    expect(outcomes, `seed ${SEED}`).toEqual(outcomes.map((outcome) => ({ ...outcome, ok: true })));
  });
});
