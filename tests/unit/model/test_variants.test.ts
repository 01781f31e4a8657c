import { describe, expect, it } from 'vitest';
import { WEIGHT_FORMATS } from '../../../src/formats/weight_format';
import { LEAST_CAPABILITIES } from '../../../src/gpu/capabilities';
import { planVariants } from '../../../src/model/test_variants';
import { GEMM_ROW_TILES } from '../../../src/ops/linear/gemm_space';
import { spaceCases } from '../../../src/ops/space_cases';

const BARE = { guise: 'bare', capabilities: LEAST_CAPABILITIES };
const FULL = {
  guise: 'full',
  capabilities: {
    ...LEAST_CAPABILITIES,
    f16: true,
    dot4: true,
    subgroups: true,
    subgroupMinSize: 32,
    subgroupMaxSize: 32,
  },
};

function labels(plans: ReturnType<typeof planVariants>): string[] {
  return plans.flatMap(({ cases }) => cases.map(({ label }) => label));
}

describe('the variants of all kernels', () => {
  it('are every format, type of cache and kernel that has a choice', () => {
    const all = spaceCases(FULL.capabilities, 1).map(({ label }) => label);
    expect(new Set(all).size).toBe(all.length);
    for (const format of WEIGHT_FORMATS) {
      for (const type of ['f32', 'f16']) {
        for (const kernel of ['norm swiglu gemv', 'accumulate gemv', 'accumulate gemm']) {
          const found = all.filter(
            (label) => label.startsWith(`linear ${format} `) && label.includes(` ${type} ${kernel} `),
          );
          expect(found.length, `${format} ${type} ${kernel}`).toBeGreaterThan(4 * GEMM_ROW_TILES.length);
        }
      }
    }
    for (const format of WEIGHT_FORMATS)
      for (const kernel of ['expert_gemv', 'expert_gemm'])
        expect(
          all.some((label) => label.startsWith(`expert_linear ${format} `) && label.includes(` ${kernel} `)),
          `${format} ${kernel}`,
        ).toBe(true);
    for (const kernel of ['decode', 'prefill'])
      for (const cache of ['f32', 'f16', 'q8_0', 'q4_0'])
        expect(all.some((label) => label.startsWith(`attention ${kernel} `) && label.includes(` kv ${cache} `))).toBe(
          true,
        );
    expect(all.some((label) => label.includes(' dot4 '))).toBe(true);
    expect(all.some((label) => label.includes(' q4_k beside q6_k '))).toBe(true);
  });

  it('run once, on the first guise of the device that has them', () => {
    const filter = 'linear q4_0 2080→74 rows 3';
    const [bare, more] = planVariants([BARE, FULL], { seed: 1, filter });
    const together = labels([bare, more]);
    expect(new Set(together).size).toBe(together.length);
    expect(new Set(together)).toEqual(new Set(labels(planVariants([FULL], { seed: 1, filter }))));
    expect(bare.cases.length).toBeGreaterThan(10);
    expect(labels([bare]).some((label) => / f16 | subgroup | dot4 /.test(label))).toBe(false);
  });

  it('are cut into parts that are everything together and nothing twice', () => {
    const choice = { seed: 1, filter: 'linear q8_0 2080→74 rows 1 f32' };
    const all = labels(planVariants([FULL], choice));
    const parts = [1, 2, 3].map((part) => labels(planVariants([FULL], { ...choice, slice: { part, of: 3 } })));
    expect(parts.flat().toSorted()).toEqual(all.toSorted());
    for (const part of parts) expect(part.length).toBeGreaterThan(all.length / 5);
    // Whatever is drawn: who goes on another day goes on with the same parts.
    expect(labels(planVariants([FULL], { ...choice, seed: 2, slice: { part: 1, of: 3 } }))).toEqual(parts[0]);
  });
});
