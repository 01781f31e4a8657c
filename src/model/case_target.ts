import type { Capabilities } from '../gpu/capabilities';
import { describeKernel, filesOf } from '../gpu/pipelines';
import type { OpCall } from '../ops/calls';
import type { KernelTarget, OpCase } from '../ops/op';
import { splitByBindingLimit } from './gpu_tensors';
import { describeStep, type StepCapacity, StepEncoder, tileRowsOf } from './step_encoder';
import { planDispatches } from './webgpu_executor';

/** Room for the step of a case. */
export function caseCapacity(opCase: OpCase): StepCapacity {
  const step = describeStep(opCase.batch);
  return {
    maxRows: Math.max(opCase.bucket.maxRows, step.rows.length),
    maxSegments: step.segments.length,
    maxSampledRows: Math.max(1, step.sampled.length),
    contextLength: opCase.contextLength,
    sliding: opCase.sliding,
    maskWords: Math.max(
      0,
      ...opCase.batch.segments.flatMap(({ masks = [] }) => masks.map((mask) => mask?.length ?? 0)),
    ),
    tileRows: tileRowsOf(opCase.calls as readonly OpCall[]),
    sampler: samplerOf(opCase.calls as readonly OpCall[]),
  };
}

function samplerOf(calls: readonly OpCall[]): StepCapacity['sampler'] {
  const call = calls.find(({ op }) => op === 'sample' || op === 'sample_chain');
  if (call?.op !== 'sample' && call?.op !== 'sample_chain') return undefined;
  return { vocabSize: call.logits.cols, contextLength: call.past.words / call.mu.words };
}

/** What the kernels of a case are chosen by. */
export function caseTarget(
  opCase: OpCase,
  capabilities: Capabilities,
  weightParts: KernelTarget['weightParts'],
): KernelTarget {
  return {
    capabilities,
    bucket: opCase.bucket,
    kvType: opCase.kvType,
    contextLength: opCase.contextLength,
    maxSampledRows: caseCapacity(opCase).maxSampledRows,
    maxSlots: Math.max(...opCase.batch.segments.map(({ slot }) => slot)) + 1,
    tuning: opCase.tuning,
    weightParts,
  };
}

/** True when a tensor of the case is stored as f16 activations, which only shader-f16 can read. */
function needsF16(opCase: OpCase): boolean {
  return JSON.stringify(opCase.calls).includes('"type":"f16"');
}

export interface CaseKernels {
  /** The kernels with everything that chooses their variants, and their grids: two devices that give the same text run the same thing. */
  readonly variants: string;
  /** The shader files alone: cases that share them try the same code with other shapes. */
  readonly files: string;
}

/** What a device with these capabilities would run for a case. Undefined for a device that lacks what the case needs. */
export function caseKernels(opCase: OpCase, capabilities: Capabilities): CaseKernels | undefined {
  if (needsF16(opCase) && !capabilities.f16) return undefined;
  if (opCase.needs?.some((name) => !capabilities[name])) return undefined;
  const bindingBytes = opCase.maxBindingBytes ?? capabilities.limits.maxStorageBufferBindingSize;
  const target = caseTarget(opCase, capabilities, (weight) => splitByBindingLimit(weight, bindingBytes));
  const { shape } = new StepEncoder(caseCapacity(opCase)).encode(opCase.batch);
  const dispatches = planDispatches(opCase.calls as readonly OpCall[], target).map(({ dispatch }) => dispatch);
  const variants = dispatches.map(
    (dispatch) => `${describeKernel(dispatch.source)} ${dispatch.workgroups(shape).join('×')}`,
  );
  const files = dispatches.map(({ source }) => filesOf(source).join(' '));
  return { variants: [opCase.label, ...variants].join('\n'), files: [...new Set(files)].join('\n') };
}
