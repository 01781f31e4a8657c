/**
 * The tuner's whole space, computed: one variant for one row, one for a few and one for many, others each time; with
 * TESSERA_MATRIX=full all of them, in three quarters of an hour on a software adapter.
 */
import { describe, expect, test } from 'vitest';
import { GpuDevice } from '../../src/gpu/device';
import { runCase } from '../../src/model/case_runner';
import { seededRandom } from '../../src/model/random';
import type { LinearCall } from '../../src/ops/calls';
import { gemvOrders, type LinearRowTile, linearTunings } from '../../src/ops/linear/tuning';
import { linearTuningCase } from '../../src/ops/linear/variant_cases';
import type { Activation, ActivationType } from '../../src/ops/op';
import { withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);

/** Wide enough for every splitK, and not in whole sweeps. */
function linearCall(format: 'q4_0' | 'f32', type: ActivationType, fused: boolean): LinearCall {
  const cols = 2080;
  const activation = (name: string, width: number): Activation => ({ name, cols: width, rows: 'step', type });
  return {
    op: 'linear',
    x: activation('x', cols),
    weight: { name: 'w', format, rows: 74, cols },
    out: activation('out', fused ? 37 : 74),
    outColumn: 0,
    norm: fused ? { weight: { name: 'norm', length: cols }, eps: 1e-5 } : undefined,
    accumulate: !fused,
    epilogue: fused ? 'swiglu' : 'none',
  };
}

const probe = await GpuDevice.create();
const { capabilities } = probe;
probe.dispose();
const halves = capabilities.f16 ? 'f16' : 'f32';

const CALLS = [linearCall('q4_0', halves, false), linearCall('q4_0', 'f32', true), linearCall('f32', 'f32', false)];

function casesOf(tiles: readonly LinearRowTile[]) {
  return CALLS.flatMap((call) =>
    // Norms and gated units are calls of their own in large steps.
    tiles
      .filter((tile) => tile !== 'many' || !call.norm)
      .flatMap((tile) =>
        (tile === 'many' ? [undefined] : gemvOrders(call, capabilities)).flatMap((order) =>
          linearTunings(call, tile, capabilities, order).map((tuning) => linearTuningCase(call, tile, tuning, SEED)),
        ),
      ),
  );
}

const random = seededRandom(SEED);
const KINDS: readonly (readonly LinearRowTile[])[] = [[1], [4, 16], ['many']];
const cases = KINDS.map(casesOf).flatMap((all) =>
  process.env['TESSERA_MATRIX'] === 'full' ? all : all.slice(Math.floor(random() * all.length)).slice(0, 1),
);

describe('the tuning space', () => {
  const device = withDevice();

  test.each(cases)('$label', async (opCase) => {
    for (const { error, budget } of await runCase(await device(), opCase, SEED)) {
      expect(error, `seed ${SEED}`).toBeLessThanOrEqual(budget);
    }
  });
});
