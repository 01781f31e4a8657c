import { afterAll, afterEach, expect } from 'vitest';
import { GpuDevice, type GpuDeviceOptions } from '../../src/gpu/device';
import { caseKernels } from '../../src/model/case_target';
import type { OpCase } from '../../src/ops/op';

export interface Variant {
  readonly name: string;
  readonly options: Pick<GpuDeviceOptions, 'without' | 'defaultLimits'>;
}

/** The machine's GPU as it is: the widest choice of kernels. */
const FULL: Variant = { name: 'full', options: {} };

/** The least that WebGPU promises: no optional feature, default limits. What compiles and runs here does so on every device. */
export const BARE: Variant = {
  name: 'without shader-f16, subgroups',
  options: { without: ['shader-f16', 'subgroups'], defaultLimits: true },
};

/** The GPU in every guise that chooses other kernels, the least able first. */
export const VARIANTS: readonly Variant[] = [
  BARE,
  { name: 'without shader-f16', options: { without: ['shader-f16'], defaultLimits: true } },
  { name: 'without subgroups', options: { without: ['subgroups'], defaultLimits: true } },
  { name: 'default limits', options: { defaultLimits: true } },
  FULL,
];

/**
 * The cases to run on each variant. Where several variants run the same kernels for a case, the least able one stands for them: what
 * compiles and is right there is so with more features and wider limits. With `turn`, variants that do differ take turns: each case
 * runs on one of them, on another one with the next turn. Variants without a case are left out.
 */
export async function casesByVariant<Case extends OpCase>(
  cases: readonly Case[],
  turn?: number,
): Promise<{ readonly name: string; readonly variant: Variant; readonly cases: readonly Case[] }[]> {
  const choices = cases.map(() => new Map<string, Variant>());
  for (const variant of VARIANTS) {
    const gpu = await GpuDevice.create(variant.options);
    for (const [i, opCase] of cases.entries()) {
      const kernels = caseKernels(opCase, gpu.capabilities)?.variants;
      if (kernels !== undefined && !choices[i].has(kernels)) choices[i].set(kernels, variant);
    }
    gpu.dispose();
  }
  const chosen = choices.map((choice, i) => {
    const variants = [...choice.values()];
    return turn === undefined ? variants : variants.slice((turn + i) % variants.length).slice(0, 1);
  });
  return VARIANTS.map((variant) => ({
    name: variant.name,
    variant,
    cases: cases.filter((_, i) => chosen[i].includes(variant)),
  })).filter((run) => run.cases.length > 0);
}

/**
 * A function that gives the variant's device: made once per test file and disposed of after it. After each test every device must be
 * there still and have no error left over. Call it at the top of a test file or of a `describe`.
 */
export function withDevice(variant: Variant = FULL): () => Promise<GpuDevice> {
  let device: Promise<GpuDevice> | undefined;
  afterEach(async () => {
    const gpu = await device;
    if (!gpu) return;
    await gpu.checked('work left over by the test', () => gpu.device.queue.submit([]));
    await gpu.device.queue.onSubmittedWorkDone();
    gpu.throwIfFaulted();
    expect(gpu.lostError).toBeUndefined();
  });
  afterAll(async () => {
    const created = device;
    device = undefined;
    (await created)?.dispose();
  });
  return () => {
    device ??= GpuDevice.create(variant.options);
    return device;
  };
}
