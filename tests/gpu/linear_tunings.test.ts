/**
 * The tuner's whole space, computed: one variant for one row, one for a few and one for many, others each time, of any format. All of them:
 * `tessera selftest --variants`.
 */
import { describe, expect, test } from 'vitest';
import { GpuDevice } from '../../src/gpu/device';
import { runCase } from '../../src/model/case_runner';
import { seededRandom } from '../../src/model/random';
import { linearSpaceCases } from '../../src/ops/linear/space_cases';
import type { LinearRowTile } from '../../src/ops/linear/tuning';
import { withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);
const random = seededRandom(SEED);
const probe = await GpuDevice.create();
const { capabilities } = probe;
probe.dispose();
const KINDS: readonly (readonly LinearRowTile[])[] = [[1], [4, 16], ['many']];
const cases = KINDS.map((tiles) => {
  const all = linearSpaceCases(capabilities, SEED, tiles);
  return all[Math.floor(random() * all.length)];
});

describe('the tuning space', () => {
  const device = withDevice();

  test.each(cases)('$label', async (opCase) => {
    for (const { error, budget } of await runCase(await device(), opCase, SEED)) {
      expect(error, `seed ${SEED}`).toBeLessThanOrEqual(budget);
    }
  });
});
