import { describe, expect, it } from 'vitest';
import { runCase } from '../../src/model/case_runner';
import { activationCases } from '../../src/ops/activation';
import { attentionCases, attentionTuningCases } from '../../src/ops/attention/cases';
import { gluCases } from '../../src/ops/glu';
import { layerNormCases } from '../../src/ops/layer_norm';
import { poolCases } from '../../src/ops/pool';
import { rmsNormCases } from '../../src/ops/rms_norm';
import { ropeKvCases } from '../../src/ops/rope_kv';
import { casesByVariant, withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);
const CASES = [
  ...rmsNormCases(SEED),
  ...layerNormCases(SEED),
  ...activationCases(SEED),
  ...poolCases(SEED),
  ...gluCases(SEED),
  ...ropeKvCases(SEED),
  ...attentionCases(SEED),
  // A quarter of the tunings: each takes a second to compile.
  ...attentionTuningCases(SEED).filter((_, i) => i % 4 === SEED % 4),
];

describe.each(await casesByVariant(CASES))('norm, SwiGLU, rotary and attention cases, $name', ({ variant, cases }) => {
  const device = withDevice(variant);

  it.each(cases)('$label agrees with the reference', async (opCase) => {
    const outcomes = await runCase(await device(), opCase, SEED);
    expect(outcomes.length).toBe(opCase.outputs.length);
    for (const { tensor, error, budget } of outcomes) {
      expect(error, `seed ${SEED}: ${tensor}`).toBeLessThanOrEqual(budget);
    }
  });
});
