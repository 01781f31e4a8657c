import { describe, expect, it } from 'vitest';
import { runCase } from '../../src/model/case_runner';
import { deltaNetCases } from '../../src/ops/recurrent/delta_net';
import { headGateCases } from '../../src/ops/recurrent/head_gate';
import { shortConvCases } from '../../src/ops/recurrent/short_conv';
import { casesByVariant, withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);
const CASES = [...shortConvCases(SEED), ...deltaNetCases(SEED), ...headGateCases(SEED)];

describe.each(await casesByVariant(CASES))('recurrent layers, $name', ({ variant, cases }) => {
  const device = withDevice(variant);

  it.each(cases)('$label agrees with the reference', async (opCase) => {
    const outcomes = await runCase(await device(), opCase, SEED);
    expect(outcomes.length).toBe(opCase.outputs.length);
    for (const { tensor, error, budget } of outcomes) {
      expect(error, `seed ${SEED}: ${tensor}`).toBeLessThanOrEqual(budget);
    }
  });
});
