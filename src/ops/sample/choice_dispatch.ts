import { InternalError } from '../../errors';
import type { SampleCall } from '../decoding_calls';
import type { Dispatch, KernelTarget, State } from '../op';
import { SAMPLE_WORDS } from './record';

interface ChoiceKernel {
  readonly name: string;
  readonly entry: string;
  /** Of kernels that read what mirostat has learned. */
  readonly mu?: State;
}

/** A kernel that chooses the tokens of sampled rows, a workgroup for each. Throws InternalError when there may be more rows than workgroups. */
export function choiceDispatch(
  { logits, counts, bias, past, samples }: Pick<SampleCall, 'logits' | 'counts' | 'bias' | 'past' | 'samples'>,
  { maxSampledRows, capabilities }: KernelTarget,
  { name, entry, mu }: ChoiceKernel,
): Dispatch {
  if (maxSampledRows > capabilities.limits.maxComputeWorkgroupsPerDimension) {
    throw new InternalError(`${name}: ${maxSampledRows} sampled rows exceed the device's workgroups per dimension`);
  }
  const { cols, type } = logits;
  return {
    label: `${name} ${type}`,
    source: { entry, aliases: { Act: type } },
    bindings: [
      { kind: 'step' },
      { kind: 'activation', tensor: logits, access: 'read' },
      { kind: 'state', state: counts, access: 'read' },
      { kind: 'state', state: bias, access: 'read' },
      { kind: 'state', state: past, access: 'read' },
      ...(mu ? [{ kind: 'state', state: mu, access: 'read' } as const] : []),
      { kind: 'scratch', name: 'sample.keys', bytes: maxSampledRows * cols * 4, access: 'write' },
      { kind: 'state', state: samples, access: 'write' },
    ],
    workgroups: (step) => (step.greedy ? [0, 0, 0] : [step.sampledRows, 1, 1]),
    traffic: (step) => step.sampledRows * (cols * (type === 'f16' ? 2 : 4) + SAMPLE_WORDS * 4),
  };
}
