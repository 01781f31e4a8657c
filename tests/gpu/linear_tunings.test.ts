/**
 * The tuner's whole space, computed: a few variants, others each time; with TESSERA_MATRIX=full all of them, in some twenty minutes on a
 * software adapter.
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
const AT_ONCE = 3;

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
const TILES: readonly LinearRowTile[] = [1, 4, 16, 'many'];

const cases = CALLS.flatMap((call) =>
  // Norms and gated units are calls of their own in large steps.
  TILES.filter((tile) => tile !== 'many' || !call.norm).flatMap((tile) =>
    (tile === 'many' ? [undefined] : gemvOrders(call, capabilities)).flatMap((order) =>
      linearTunings(call, tile, capabilities, order).map((tuning) => linearTuningCase(call, tile, tuning, SEED)),
    ),
  ),
);

function drawn<T>(all: readonly T[]): readonly T[] {
  if (process.env['TESSERA_MATRIX'] === 'full') return all;
  const random = seededRandom(SEED);
  const share = all.length / AT_ONCE;
  return Array.from({ length: AT_ONCE }, (_, i) => all[Math.floor((i + random()) * share)]);
}

describe('the tuning space', () => {
  const device = withDevice();

  test.each(drawn(cases))('$label', async (opCase) => {
    for (const { error, budget } of await runCase(await device(), opCase, SEED)) {
      expect(error, `seed ${SEED}`).toBeLessThanOrEqual(budget);
    }
  });
});
