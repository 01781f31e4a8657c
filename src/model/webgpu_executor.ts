import { InternalError } from '../errors';
import type { GpuDevice } from '../gpu/device';
import type { BindingAccess } from '../gpu/pipelines';
import type { OpCall } from '../ops/calls';
import type { Binding, Dispatch, KernelTarget } from '../ops/op';
import { checkCall, dispatchesOf } from '../ops/registry';
import type { StepShape } from '../ops/step_layout';
import type { GpuTensors } from './gpu_tensors';

/** A dispatch with the index of its call in the plan, for traces. */
interface PlanDispatch {
  readonly dispatch: Dispatch;
  readonly call: number;
}

interface CompiledDispatch {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
}

/** A plan whose buffers exist. Once `prepare` has compiled its pipelines and made its bind groups, encoding it creates nothing. */
export class PreparedPlan {
  private compiled: readonly CompiledDispatch[] | undefined;
  private preparing: Promise<void> | undefined;

  constructor(
    readonly calls: readonly OpCall[],
    private readonly dispatches: readonly PlanDispatch[],
    private readonly compile: () => Promise<readonly CompiledDispatch[]>,
  ) {}

  get ready(): boolean {
    return this.compiled !== undefined;
  }

  /** Compiles the plan, the first time that it is asked for. Rejects with KernelError, or with what became of the device. */
  prepare(): Promise<void> {
    this.preparing ??= this.compile().then((compiled) => {
      this.compiled = compiled;
    });
    return this.preparing;
  }

  /** Encodes every dispatch that the step needs, or only those of one call. */
  encode(pass: GPUComputePassEncoder, shape: StepShape, onlyCall?: number): void {
    const compiled = this.requireCompiled();
    let current: GPUComputePipeline | undefined;
    for (let i = 0; i < compiled.length; i++) {
      const { dispatch, call } = this.dispatches[i];
      if (onlyCall !== undefined && call !== onlyCall) continue;
      const [x, y, z] = dispatch.workgroups(shape);
      if (x === 0 || y === 0 || z === 0) continue;
      const { pipeline, bindGroup } = compiled[i];
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
    const compiled = this.requireCompiled();
    return this.dispatches
      .map(({ dispatch }, i) => ({ label: dispatch.label, ...compiled[i], workgroups: dispatch.workgroups(shape) }))
      .filter((item) => item.workgroups.every((count) => count > 0));
  }

  private requireCompiled(): readonly CompiledDispatch[] {
    if (!this.compiled) throw new InternalError('a plan runs before it was prepared');
    return this.compiled;
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
export function planDispatches(calls: readonly OpCall[], target: KernelTarget): PlanDispatch[] {
  return calls.flatMap((call, index) => {
    checkCall(call);
    return dispatchesOf(call, targetOf(call, target)).map((dispatch) => ({ dispatch, call: index }));
  });
}

/**
 * Plans that share one set of tensors: allocates what all their bindings need (the largest of all plans, before any bind group is made).
 * Nothing is compiled yet: see `PreparedPlan.prepare`. A plan given as dispatches is no model's: no calls.
 */
export async function allocatePlans(
  gpu: GpuDevice,
  tensors: GpuTensors,
  plans: readonly ({ readonly calls: readonly OpCall[]; readonly target: KernelTarget } | readonly Dispatch[])[],
): Promise<PreparedPlan[]> {
  const chosen = plans.map((plan) =>
    'calls' in plan
      ? { calls: plan.calls, items: planDispatches(plan.calls, plan.target) }
      : { calls: [], items: plan.map((dispatch) => ({ dispatch, call: -1 })) },
  );
  const limit = gpu.capabilities.limits.maxStorageBuffersPerShaderStage;
  for (const { dispatch } of chosen.flatMap(({ items }) => items)) {
    if (dispatch.bindings.length > limit) {
      throw new InternalError(
        `${dispatch.label} binds ${dispatch.bindings.length} buffers, the device allows ${limit}`,
      );
    }
    for (const binding of dispatch.bindings) await tensors.ensure(binding);
  }
  return chosen.map(({ calls, items }) => new PreparedPlan(calls, items, () => compile(gpu, tensors, items)));
}

/** Compiles all pipelines in parallel, then makes the bind groups. */
async function compile(
  gpu: GpuDevice,
  tensors: GpuTensors,
  items: readonly PlanDispatch[],
): Promise<CompiledDispatch[]> {
  const pipelines = await Promise.all(
    items.map(({ dispatch }) => gpu.pipelines.get(dispatch.source, dispatch.bindings.map(accessOf))),
  );
  return gpu.checked('bind groups', () =>
    items.map(({ dispatch }, index): CompiledDispatch => {
      const bindGroup = gpu.device.createBindGroup({
        label: dispatch.label,
        layout: pipelines[index].getBindGroupLayout(0),
        entries: dispatch.bindings.map((binding, slot) => ({
          binding: slot,
          resource: { buffer: tensors.buffer(binding) },
        })),
      });
      return { pipeline: pipelines[index], bindGroup };
    }),
  );
}

/** `allocatePlans`, and all of them prepared at once. */
export async function preparePlans(
  gpu: GpuDevice,
  tensors: GpuTensors,
  plans: readonly { readonly calls: readonly OpCall[]; readonly target: KernelTarget }[],
): Promise<PreparedPlan[]> {
  const allocated = await allocatePlans(gpu, tensors, plans);
  await Promise.all(allocated.map((plan) => plan.prepare()));
  return allocated;
}
