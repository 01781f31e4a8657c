/** A row of a product is the same to the bit however many rows the step has, whatever they are and however the kernel is tuned. */
import { describe, expect, test } from 'vitest';
import { BLOCK_FORMATS } from '../../src/formats/blocks';
import { WEIGHT_FORMATS, type WeightFormat } from '../../src/formats/weight_format';
import { seededRandom } from '../../src/model/random';
import type { LinearCall } from '../../src/ops/calls';
import { gemvOrders, type LinearRowTile, linearTunings, tuningKey } from '../../src/ops/linear/tuning';
import type { LinearTuning } from '../../src/ops/tuning';
import { LinearHarness, type LinearRow, randomRow } from './linear_harness';
import { VARIANTS, withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);
const OUTS = 38;

type Trait = 'norm' | 'bias' | 'accumulate' | 'swiglu' | 'gather' | 'f16';
/** Formats of one run on each variant; every run takes other ones, with other traits. */
const FORMATS_AT_ONCE = 3;
/** Likewise of the legal tunings. */
const TUNINGS_AT_ONCE = 4;

const TRAITS: readonly (readonly Trait[])[] = [
  ['norm', 'swiglu'],
  ['bias', 'accumulate'],
  ['norm', 'gather'],
  ['norm', 'bias', 'f16'],
  ['accumulate', 'f16'],
];

function linearCall(format: WeightFormat, traits: readonly Trait[]): LinearCall {
  const cols = BLOCK_FORMATS[format].blockSize === 256 ? 768 : 544;
  const has = (trait: Trait): boolean => traits.includes(trait);
  const type = has('f16') ? 'f16' : 'f32';
  return {
    op: 'linear',
    x: { name: 'x', cols, rows: 'step', type },
    weight: { name: 'w', format, rows: OUTS, cols },
    out: { name: 'out', cols: has('swiglu') ? OUTS / 2 : OUTS, rows: has('gather') ? 'sampled' : 'step', type },
    outColumn: 0,
    norm: has('norm') ? { weight: { name: 'norm', length: cols }, eps: 1e-5 } : undefined,
    bias: has('bias') ? { name: 'bias', length: OUTS } : undefined,
    accumulate: has('accumulate'),
    epilogue: has('swiglu') ? 'swiglu' : 'none',
  };
}

const withSubgroups = VARIANTS.filter(({ options }) => !options.without?.includes('subgroups')).slice(0, 2);
const withoutSubgroups = VARIANTS.filter(({ options }) => options.without?.includes('subgroups'));

describe.each([
  { name: 'without subgroups', variants: withoutSubgroups, turn: 0 },
  { name: 'with subgroups', variants: withSubgroups, turn: 1 },
])('row invariance $name', ({ variants, turn }) => {
  const devices = variants.map((variant) => withDevice(variant));
  const open = async (traits: readonly Trait[]) => {
    const [plain, halves] = await Promise.all(devices.map((device) => device()));
    // A GPU without shader-f16 has the same rows in f32.
    const usable = halves.capabilities.f16 ? traits : traits.filter((trait) => trait !== 'f16');
    return { gpu: usable.includes('f16') ? halves : plain, usable };
  };
  const formats = Array.from({ length: FORMATS_AT_ONCE }, (_, i) => ({
    format: WEIGHT_FORMATS[(SEED + 2 * i + turn) % WEIGHT_FORMATS.length],
    traits: TRAITS[(Math.floor(SEED / 7) + 2 * i + turn) % TRAITS.length],
  }));

  test.each(formats)('of $format with $traits: 1, 3, 6 and 16 rows', async ({ format, traits }) => {
    const { gpu, usable } = await open(traits);
    const call = linearCall(format, usable);
    const harness = await LinearHarness.create(gpu, call, SEED, { minRows: 1, maxRows: 16 });
    const random = seededRandom(SEED);
    const rows = Array.from({ length: 16 }, () => randomRow(call, random));
    const together = await harness.run(rows);
    expect(
      together[0].some((byte) => byte !== together[1][0]),
      'rows differ',
    ).toBe(true);
    const neighbours = (count: number): LinearRow[] => Array.from({ length: count }, () => randomRow(call, random));
    for (const row of [0, 6, 15]) {
      for (const count of [1, 3, 6]) {
        const at = Math.floor(random() * count);
        const results = await harness.run(neighbours(count).with(at, rows[row]));
        expect(results[at], `seed ${SEED}: row ${row} among ${count}`).toEqual(together[row]);
      }
    }
    harness.dispose();
  });

  test('of the tunings within one order of sums', async () => {
    // One of the two with halves, which have more orders.
    const { gpu, usable } = await open(TRAITS[(SEED + turn) % 2 === 0 ? 0 : 3]);
    const { capabilities } = gpu;
    const call = linearCall(WEIGHT_FORMATS[(SEED + 1) % WEIGHT_FORMATS.length], usable);
    const orders = gemvOrders(call, capabilities);
    const order = orders[(Math.floor(SEED / 3) + turn) % orders.length];
    const [single] = linearTunings(call, 1, capabilities, order);
    const random = seededRandom(SEED);
    const rows = Array.from({ length: 16 }, () => randomRow(call, random));
    const run = async (count: number, tile: LinearRowTile, tuning: LinearTuning): Promise<Uint8Array[]> => {
      const bucket = { minRows: count, maxRows: count };
      const linear = (key: string): LinearTuning => (key === tuningKey(call, tile) ? tuning : single);
      const harness = await LinearHarness.create(gpu, call, SEED, bucket, { linear });
      const results = await harness.run(rows.slice(0, count));
      harness.dispose();
      return results;
    };
    const [expected] = await run(1, 1, single);
    // Whichever way the lanes' sums are added up: in one order.
    if (capabilities.subgroups) {
      const reduction = order.reduction === 'subgroup' ? 'workgroup' : 'subgroup';
      const [other] = linearTunings(call, 1, capabilities, { ...order, reduction });
      const key = tuningKey(call, 1);
      const harness = await LinearHarness.create(
        gpu,
        call,
        SEED,
        { minRows: 1, maxRows: 1 },
        {
          linear: (asked) => (asked === key ? other : undefined),
        },
      );
      expect((await harness.run(rows.slice(0, 1)))[0], `seed ${SEED}: ${JSON.stringify(other)}`).toEqual(expected);
      harness.dispose();
    }
    const space = (
      [
        [1, 1],
        [3, 4],
        [16, 16],
      ] as const
    ).flatMap(([count, tile]) =>
      linearTunings(call, tile, capabilities, order).map((tuning) => ({ count, tile, tuning })),
    );
    expect(space.length).toBeGreaterThan(TUNINGS_AT_ONCE);
    for (let i = 0; i < TUNINGS_AT_ONCE; i++) {
      const { count, tile, tuning } = space[(SEED * 5 + i * Math.ceil(space.length / TUNINGS_AT_ONCE)) % space.length];
      // What GPUs run is compiled here too, for one row.
      const usual = tile === 1 ? { ...tuning, unrolled: true } : tuning;
      const [row] = await run(count, tile, usual);
      expect(row, `seed ${SEED}: ${tuningKey(call, tile)} ${JSON.stringify(usual)}`).toEqual(expected);
    }
  });
});
