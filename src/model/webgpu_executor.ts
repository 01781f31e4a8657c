import { InternalError } from '../errors';
import type { GpuDevice } from '../gpu/device';
import type { BindingAccess } from '../gpu/pipelines';
import type { OpCall } from '../ops/calls';
import type { Binding, Dispatch, KernelTarget } from '../ops/op';
import { checkCall, dispatchesOf } from '../ops/registry';
import type { StepShape } from '../ops/step_layout';
import type { GpuTensors } from './gpu_tensors';

interface PreparedDispatch {
  readonly dispatch: Dispatch;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  /** Index of the call in the plan, for traces. */
  readonly call: number;
}

/** A plan with its pipelines compiled and bind groups made: encoding it creates nothing. */
export class PreparedPlan {
  constructor(
    readonly calls: readonly OpCall[],
    private readonly dispatches: readonly PreparedDispatch[],
  ) {}

  /** Encodes every dispatch that the step needs, or only those of one call. */
  encode(pass: GPUComputePassEncoder, shape: StepShape, onlyCall?: number): void {
    let current: GPUComputePipeline | undefined;
    for (const { dispatch, pipeline, bindGroup, call } of this.dispatches) {
      if (onlyCall !== undefined && call !== onlyCall) continue;
      const [x, y, z] = dispatch.workgroups(shape);
      if (x === 0 || y === 0 || z === 0) continue;
      if (pipeline !== current) pass.setPipeline(pipeline);
      current = pipeline;
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(x, y, z);
    }
  }

  /** Label and stated bytes of each dispatch of a step of this shape. */
  describe(shape: StepShape): { readonly label: string; readonly bytes: number }[] {
    return this.dispatches
      .filter(({ dispatch }) => dispatch.workgroups(shape).every((count) => count > 0))
      .map(({ dispatch }) => ({ label: dispatch.label, bytes: dispatch.traffic(shape) }));
  }

  /** The dispatches of a step as the profiler takes them. */
  profileItems(shape: StepShape): {
    label: string;
    pipeline: GPUComputePipeline;
    bindGroup: GPUBindGroup;
    workgroups: readonly [number, number, number];
  }[] {
    return this.dispatches
      .map(({ dispatch, pipeline, bindGroup }) => ({
        label: dispatch.label,
        pipeline,
        bindGroup,
        workgroups: dispatch.workgroups(shape),
      }))
      .filter((item) => item.workgroups.every((count) => count > 0));
  }
}

function accessOf(binding: Binding): BindingAccess {
  return 'access' in binding ? binding.access : 'read';
}

/** A call on sampled rows has far fewer rows than its step: a prefill chunk that samples once still wants the small-step kernel. */
function targetOf(call: OpCall, target: KernelTarget): KernelTarget {
  if (!('out' in call) || call.out.rows !== 'sampled') return target;
  return { ...target, bucket: { minRows: 1, maxRows: Math.min(target.bucket.maxRows, target.maxSampledRows) } };
}

/** The dispatches of a plan on a target, in order, each with the index of its call. Throws InternalError for shapes that do not fit. */
export function planDispatches(
  calls: readonly OpCall[],
  target: KernelTarget,
): { readonly dispatch: Dispatch; readonly call: number }[] {
  return calls.flatMap((call, index) => {
    checkCall(call);
    return dispatchesOf(call, targetOf(call, target)).map((dispatch) => ({ dispatch, call: index }));
  });
}

/**
 * Prepares plans that share one set of tensors: compiles all pipelines in parallel, allocates what the bindings need (the largest of
 * all plans, before any bind group is made) and makes the bind groups.
 */
export async function preparePlans(
  gpu: GpuDevice,
  tensors: GpuTensors,
  plans: readonly { readonly calls: readonly OpCall[]; readonly target: KernelTarget }[],
): Promise<PreparedPlan[]> {
  const chosen = plans.map(({ calls, target }) => planDispatches(calls, target));
  const limit = gpu.capabilities.limits.maxStorageBuffersPerShaderStage;
  for (const { dispatch } of chosen.flat()) {
    if (dispatch.bindings.length > limit) {
      throw new InternalError(
        `${dispatch.label} binds ${dispatch.bindings.length} buffers, the device allows ${limit}`,
      );
    }
    for (const binding of dispatch.bindings) await tensors.ensure(binding);
  }
  return Promise.all(
    chosen.map(async (items, plan) => {
      const pipelines = await Promise.all(
        items.map(({ dispatch }) => gpu.pipelines.get(dispatch.source, dispatch.bindings.map(accessOf))),
      );
      const prepared = await gpu.checked('bind groups', () =>
        items.map(({ dispatch, call }, index): PreparedDispatch => {
          const bindGroup = gpu.device.createBindGroup({
            label: dispatch.label,
            layout: pipelines[index].getBindGroupLayout(0),
            entries: dispatch.bindings.map((binding, slot) => ({
              binding: slot,
              resource: { buffer: tensors.buffer(binding) },
            })),
          });
          return { dispatch, pipeline: pipelines[index], bindGroup, call };
        }),
      );
      return new PreparedPlan(plans[plan].calls, prepared);
    }),
  );
}
