import type { Capabilities } from '../gpu/capabilities';
import { GpuDevice } from '../gpu/device';
import type { OpCase } from '../ops/op';
import { spaceCases } from '../ops/space_cases';
import { caseKernels } from './case_target';
import { fingerprint } from './fingerprint';
import { caseRows, SELF_TEST_VARIANTS, type SelfTestRow, type SelfTestVariant } from './selftest';

/** Cases that one device runs: its compiled kernels stay in memory as long as it does. */
const CASES_OF_A_DEVICE = 200;

/** One of so many parts, counted from 1, of about equal size: all parts together are all cases. The same case is always in the same part. */
export interface Slice {
  readonly part: number;
  readonly of: number;
}

export interface KernelVariantRow extends SelfTestRow {
  /** Cases that have run, this one included, of those that will. */
  readonly done: number;
  readonly total: number;
}

interface Choice {
  readonly seed: number;
  /** Only cases whose label contains this text. */
  readonly filter?: string;
  readonly slice?: Slice;
}

/**
 * Runs every kernel variant that an autotuner may choose on this machine's GPU, in every guise of it, against the reference executor; a
 * guise runs what no earlier one has run. Never throws for a wrong variant: the rows say which.
 */
export async function* testKernelVariants(
  options: Choice & {
    readonly gpu?: GPU;
    readonly guises?: readonly SelfTestVariant[];
    readonly signal?: AbortSignal;
  },
): AsyncGenerator<KernelVariantRow> {
  const { gpu, seed, guises = SELF_TEST_VARIANTS, filter, slice, signal } = options;
  const seen: { guise: SelfTestVariant; capabilities: Capabilities }[] = [];
  for (const guise of guises) {
    const device = await openDevice(gpu, guise);
    seen.push({ guise, capabilities: device.capabilities });
    device.dispose();
  }
  const plans = planVariants(seen, { seed, filter, slice });
  const total = plans.reduce((sum, { cases }) => sum + cases.length, 0);
  let done = 0;
  for (const { guise, cases } of plans) {
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
        device ??= await openDevice(gpu, guise);
        run++;
        done++;
        for (const row of await caseRows(device, opCase, guise.name, seed)) yield { ...row, done, total };
      }
    } finally {
      device?.dispose();
    }
  }
}

/** What each guise of a device runs: every case of the space that it can run and that none before it has run with the same kernels. */
export function planVariants<Guise>(
  guises: readonly { readonly guise: Guise; readonly capabilities: Capabilities }[],
  { seed, filter = '', slice = { part: 1, of: 1 } }: Choice,
): readonly { readonly guise: Guise; readonly cases: readonly OpCase[] }[] {
  const planned = new Set<string>();
  return guises.map(({ guise, capabilities }) => {
    const cases = spaceCases(capabilities, seed).filter((opCase) => {
      if (!opCase.label.includes(filter) || partOf(opCase.label, slice.of) !== slice.part) return false;
      const kernels = caseKernels(opCase, capabilities)?.variants;
      if (kernels === undefined || planned.has(kernels)) return false;
      planned.add(kernels);
      return true;
    });
    return { guise, cases };
  });
}

/** Drawn by the label alone, so that neighbours in the space are in different parts. */
function partOf(label: string, parts: number): number {
  return parts === 1
    ? 1
    : 1 + (Number.parseInt(fingerprint([new TextEncoder().encode(label)]).slice(0, 8), 16) % parts);
}

function openDevice(gpu: GPU | undefined, { without, defaultLimits }: SelfTestVariant): Promise<GpuDevice> {
  return GpuDevice.create({ gpu, without, defaultLimits });
}
