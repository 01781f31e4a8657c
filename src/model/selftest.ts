import { messageOf } from '../errors/message_of';
import type { WeightFormat } from '../formats/weight_format';
import type { MaskableFeature } from '../gpu/capabilities';
import { GpuDevice } from '../gpu/device';
import { activationCases } from '../ops/activation';
import { attentionCases } from '../ops/attention/cases';
import type { OpCall } from '../ops/calls';
import { dolaCases } from '../ops/dola_cases';
import { embedCases } from '../ops/embed_cases';
import { expertCases } from '../ops/experts/cases';
import { expertVariantCases } from '../ops/experts/variant_cases';
import { gluCases } from '../ops/glu';
import { guideLogitsCases } from '../ops/guide_logits_cases';
import { layerNormCases } from '../ops/layer_norm';
import { linearCases } from '../ops/linear/cases';
import { linearPairCases } from '../ops/linear/pair_cases';
import { linearVariantCases } from '../ops/linear/variant_cases';
import { maskLogitsCases } from '../ops/mask_logits_cases';
import type { KvType, OpCase } from '../ops/op';
import { poolCases } from '../ops/pool';
import { deltaNetCases } from '../ops/recurrent/delta_net';
import { headGateCases } from '../ops/recurrent/head_gate';
import { shortConvCases } from '../ops/recurrent/short_conv';
import { rmsNormCases } from '../ops/rms_norm';
import { ropeKvCases } from '../ops/rope_kv';
import { argmaxCases } from '../ops/sample/argmax_cases';
import { sampleCases } from '../ops/sample/cases';
import { tensorsOf } from './call_tensors';
import { runCase } from './case_runner';
import { caseKernels } from './case_target';

export interface SelfTestRow {
  readonly op: string;
  readonly label: string;
  /** What was masked: "full", "without shader-f16", … */
  readonly variant: string;
  readonly tensor: string;
  readonly error: number;
  readonly budget: number;
  readonly verdict: 'pass' | 'FAIL';
  /** Why there is no error figure: the kernel did not compile or the device failed. */
  readonly failure?: string;
}

export interface SelfTestVariant {
  readonly name: string;
  readonly without: readonly MaskableFeature[];
  readonly defaultLimits?: boolean;
}

/** The kernel variants that can be told apart by masking features. */
export const SELF_TEST_VARIANTS: readonly SelfTestVariant[] = [
  { name: 'full', without: [] },
  { name: 'without shader-f16', without: ['shader-f16'] },
  { name: 'without subgroups', without: ['subgroups'] },
  { name: 'without shader-f16, subgroups', without: ['shader-f16', 'subgroups'] },
  { name: 'default limits', without: [], defaultLimits: true },
];

/** Every op's cases over inputs drawn from `seed`. */
function allOpCases(seed: number): readonly OpCase[] {
  return [
    ...embedCases(seed),
    ...rmsNormCases(seed),
    ...layerNormCases(seed),
    ...activationCases(seed),
    ...poolCases(seed),
    ...shortConvCases(seed),
    ...deltaNetCases(seed),
    ...headGateCases(seed),
    ...linearCases(seed),
    ...linearVariantCases(seed),
    ...linearPairCases(seed),
    ...ropeKvCases(seed),
    ...attentionCases(seed),
    ...gluCases(seed),
    ...expertCases(seed),
    ...expertVariantCases(seed),
    ...maskLogitsCases(seed),
    ...dolaCases(seed),
    ...guideLogitsCases(seed),
    ...argmaxCases(seed),
    ...sampleCases(seed),
  ];
}

/**
 * Runs every op case on the given variants of this machine's GPU against the reference executor. A case is left out of a variant that
 * lacks a feature it needs, or whose kernels for it are the same as on an earlier variant. Never throws for a wrong kernel: the rows say which.
 */
export async function* selfTest(options: {
  readonly gpu?: GPU;
  readonly seed: number;
  readonly variants?: readonly SelfTestVariant[];
  /** Only cases whose label contains this text. */
  readonly filter?: string;
  /** One case for each set of shader files: every kernel with every weight format, in a fraction of the time. */
  readonly quick?: boolean;
  /** Only cases whose ops, weight formats and type of cache a model with this plan uses. */
  readonly neededBy?: { readonly calls: readonly OpCall[]; readonly kvType: KvType };
  readonly signal?: AbortSignal;
}): AsyncGenerator<SelfTestRow> {
  const run = new Set<string>();
  const needed = options.neededBy && neededBy(options.neededBy);
  for (const variant of options.variants ?? SELF_TEST_VARIANTS) {
    const device = await GpuDevice.create({
      gpu: options.gpu,
      without: variant.without,
      defaultLimits: variant.defaultLimits,
    });
    try {
      let seed = options.seed;
      const cases = allOpCases(options.seed);
      // Quick runs begin elsewhere with another seed, so that other cases stand for their shader files.
      const first = options.quick ? options.seed % cases.length : 0;
      for (const opCase of [...cases.slice(first), ...cases.slice(0, first)]) {
        options.signal?.throwIfAborted();
        seed++;
        if (options.filter !== undefined && !opCase.label.includes(options.filter)) continue;
        if (needed && !isNeeded(opCase, needed)) continue;
        const kernels = caseKernels(opCase, device.capabilities);
        if (kernels === undefined || run.has(kernels.variants)) continue;
        if (options.quick && run.has(kernels.files)) continue;
        run.add(kernels.variants).add(kernels.files);
        yield* await caseRows(device, opCase, variant.name, seed);
      }
    } finally {
      device.dispose();
    }
  }
}

/** Runs a case on a device, of which `variant` says in what guise it is. A kernel that does not compile or run is a row too. */
export async function caseRows(
  device: GpuDevice,
  opCase: OpCase,
  variant: string,
  seed: number,
): Promise<readonly SelfTestRow[]> {
  const op = opCase.calls.map((call) => call.op).join(' → ');
  try {
    const outcomes = await runCase(device, opCase, seed);
    return outcomes.map(({ label, tensor, error, budget, ok }) => ({
      op,
      label,
      variant,
      tensor,
      error,
      budget,
      verdict: ok ? 'pass' : 'FAIL',
    }));
  } catch (error) {
    const failure = messageOf(error);
    const { label } = opCase;
    return [{ op, label, variant, tensor: '', error: Number.NaN, budget: 0, verdict: 'FAIL', failure }];
  }
}

interface Needed {
  readonly ops: ReadonlySet<string>;
  readonly formats: ReadonlySet<WeightFormat>;
  readonly kvType: KvType;
}

function neededBy({ calls, kvType }: { readonly calls: readonly OpCall[]; readonly kvType: KvType }): Needed {
  return {
    kvType,
    ops: new Set(calls.map(({ op }) => op)),
    formats: new Set(tensorsOf(calls).weights.map(({ format }) => format)),
  };
}

function isNeeded(opCase: OpCase, { ops, formats, kvType }: Needed): boolean {
  const calls = opCase.calls as readonly OpCall[];
  const { weights, caches } = tensorsOf(calls);
  if (caches.length > 0 && opCase.kvType !== kvType) return false;
  return calls.every(({ op }) => ops.has(op)) && weights.every(({ format }) => formats.has(format));
}
