import { GpuDevice } from '../gpu/device';
import type { OpCase } from '../ops/op';
import { spaceCases } from '../ops/space_cases';
import { caseKernels } from './case_target';
import { caseRows, SELF_TEST_VARIANTS, type SelfTestRow, type SelfTestVariant } from './selftest';

/** Cases that one device runs: its compiled kernels stay in memory as long as it does. */
const CASES_OF_A_DEVICE = 200;

/** Every `of`th case from the `part`th, counted from 1: all parts together are all cases. */
export interface Slice {
  readonly part: number;
  readonly of: number;
}

export interface KernelVariantRow extends SelfTestRow {
  /** Cases that have run, this one included, of those that will. */
  readonly done: number;
  readonly total: number;
}

interface Plan {
  readonly variant: SelfTestVariant;
  readonly cases: readonly OpCase[];
}

/**
 * Runs every kernel variant that an autotuner may choose on this machine's GPU, in every guise of it, against the reference executor; a
 * guise runs what no earlier one has run. Never throws for a wrong variant: the rows say which.
 */
export async function* testKernelVariants(options: {
  readonly gpu?: GPU;
  readonly seed: number;
  readonly guises?: readonly SelfTestVariant[];
  /** Only cases whose label contains this text. */
  readonly filter?: string;
  readonly slice?: Slice;
  readonly signal?: AbortSignal;
}): AsyncGenerator<KernelVariantRow> {
  const { gpu, seed, guises = SELF_TEST_VARIANTS, filter = '', slice = { part: 1, of: 1 }, signal } = options;
  const plans: Plan[] = [];
  const planned = new Set<string>();
  let count = 0;
  for (const variant of guises) {
    const device = await openDevice(gpu, variant);
    const { capabilities } = device;
    device.dispose();
    const cases = spaceCases(capabilities, seed).filter((opCase) => {
      if (!opCase.label.includes(filter)) return false;
      const kernels = caseKernels(opCase, capabilities)?.variants;
      if (kernels === undefined || planned.has(kernels)) return false;
      planned.add(kernels);
      return count++ % slice.of === slice.part - 1;
    });
    plans.push({ variant, cases });
  }
  const total = plans.reduce((sum, { cases }) => sum + cases.length, 0);
  let done = 0;
  for (const { variant, cases } of plans) {
    let device: GpuDevice | undefined;
    let run = 0;
    try {
      for (const opCase of cases) {
        signal?.throwIfAborted();
        // A variant may take the device with it; the next one has another.
        if (device && (device.lostError || run === CASES_OF_A_DEVICE)) {
          device.dispose();
          device = undefined;
          run = 0;
        }
        device ??= await openDevice(gpu, variant);
        run++;
        done++;
        for (const row of await caseRows(device, opCase, variant.name, seed)) yield { ...row, done, total };
      }
    } finally {
      device?.dispose();
    }
  }
}

function openDevice(gpu: GPU | undefined, { without, defaultLimits }: SelfTestVariant): Promise<GpuDevice> {
  return GpuDevice.create({ gpu, without, defaultLimits });
}
