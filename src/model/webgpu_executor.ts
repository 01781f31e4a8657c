import type { StepFeature } from '../engine/step_features';
import { InternalError } from '../errors';
import type { GpuDevice } from '../gpu/device';
import type { BindingAccess } from '../gpu/pipelines';
import type { OpCall } from '../ops/calls';
import type { Binding, Dispatch, KernelTarget } from '../ops/op';
import { checkCall, dispatchesOf, dispatchesOfTwo } from '../ops/registry';
import type { StepShape } from '../ops/step_layout';
import type { GpuTensors } from './gpu_tensors';

/** A dispatch with the index of its call in the plan, for traces, and the feature of the steps that run it. */
interface PlanDispatch {
  readonly dispatch: Dispatch;
  readonly call: number;
  readonly when?: StepFeature;
}

interface CompiledDispatch {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
}

/**
 * A plan whose buffers exist. Once `prepare` has compiled its pipelines and made its bind groups, encoding it creates nothing. Calls that
 * only steps with a feature run are prepared, each feature once, when that is asked for.
 */
export class PreparedPlan {
  /** Parallel to the dispatches. */
  private readonly compiled: (CompiledDispatch | undefined)[] = [];
  private readonly preparing = new Map<StepFeature | undefined, Promise<void>>();
  private readonly prepared = new Set<StepFeature | undefined>();

  constructor(
    readonly calls: readonly OpCall[],
    private readonly dispatches: readonly PlanDispatch[],
    private readonly compile: (items: readonly PlanDispatch[]) => Promise<readonly CompiledDispatch[]>,
  ) {}

  /** Whether a step with these features can be encoded. */
  isReady(features: readonly StepFeature[] = []): boolean {
    return this.prepared.has(undefined) && features.every((feature) => this.prepared.has(feature));
  }

  /** Compiles what steps with these features need, the first time that it is asked for. Rejects with KernelError, or with what became of the device. */
  async prepare(features: readonly StepFeature[] = []): Promise<void> {
    await Promise.all([undefined, ...features].map((feature) => this.preparePart(feature)));
  }

  private preparePart(feature: StepFeature | undefined): Promise<void> {
    const known = this.preparing.get(feature);
    if (known) return known;
    const items = this.dispatches.filter(({ when }) => when === feature);
    const part = this.compile(items).then((compiled) => {
      items.forEach((item, i) => {
        this.compiled[this.dispatches.indexOf(item)] = compiled[i];
      });
      this.prepared.add(feature);
    });
    this.preparing.set(feature, part);
    return part;
  }

  /** Encodes every dispatch that the step needs, or only those of one call. */
  encode(pass: GPUComputePassEncoder, shape: StepShape, onlyCall?: number): void {
    if (!this.prepared.has(undefined)) throw new InternalError('a plan runs before it was prepared');
    let current: GPUComputePipeline | undefined;
    for (let i = 0; i < this.dispatches.length; i++) {
      const { dispatch, call, when } = this.dispatches[i];
      if (onlyCall !== undefined && call !== onlyCall) continue;
      if (when !== undefined && !shape.features?.includes(when)) continue;
      const [x, y, z] = dispatch.workgroups(shape);
      if (x === 0 || y === 0 || z === 0) continue;
      const { pipeline, bindGroup } = this.requireCompiled(i);
      if (pipeline !== current) pass.setPipeline(pipeline);
      current = pipeline;
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(x, y, z);
    }
  }

  /** Whether the call has dispatches under its own index: not the first of two that run at once. */
  hasCall(index: number): boolean {
    return this.dispatches.some(({ call }) => call === index);
  }

  /** Label and stated bytes of each dispatch of a step of this shape. */
  describe(shape: StepShape): { readonly label: string; readonly bytes: number }[] {
    return this.dispatches
      .filter((item) => runsIn(item, shape))
      .map(({ dispatch }) => ({ label: dispatch.label, bytes: dispatch.traffic(shape) }));
  }

  /** The dispatches of a step as the profiler takes them. */
  profileItems(shape: StepShape): {
    label: string;
    pipeline: GPUComputePipeline;
    bindGroup: GPUBindGroup;
    workgroups: readonly [number, number, number];
  }[] {
    return this.dispatches.flatMap((item, i) =>
      runsIn(item, shape)
        ? [{ label: item.dispatch.label, ...this.requireCompiled(i), workgroups: item.dispatch.workgroups(shape) }]
        : [],
    );
  }

  private requireCompiled(index: number): CompiledDispatch {
    const found = this.compiled[index];
    if (!found) throw new InternalError('a plan runs before it was prepared');
    return found;
  }
}

function runsIn({ dispatch, when }: PlanDispatch, shape: StepShape): boolean {
  if (when !== undefined && !shape.features?.includes(when)) return false;
  return dispatch.workgroups(shape).every((count) => count > 0);
}

function accessOf(binding: Binding): BindingAccess {
  return 'access' in binding ? binding.access : 'read';
}

/** A call on sampled rows has far fewer rows than its step: a prefill chunk that samples once still wants the small-step kernel. */
function targetOf(call: OpCall, target: KernelTarget): KernelTarget {
  if (!('out' in call) || call.out.rows !== 'sampled') return target;
  return { ...target, bucket: { minRows: 1, maxRows: Math.min(target.bucket.maxRows, target.maxSampledRows) } };
}

/**
 * The dispatches of a plan on a target, in order, each with the index of its call: of the later one where two calls run at once. Throws
 * InternalError for shapes that do not fit.
 */
export function planDispatches(calls: readonly OpCall[], target: KernelTarget): PlanDispatch[] {
  for (const call of calls) checkCall(call);
  const found: PlanDispatch[] = [];
  for (let index = 0; index < calls.length; index++) {
    const [call, next] = calls.slice(index, index + 2);
    const own = targetOf(call, target);
    const together = next && next.when === call.when ? dispatchesOfTwo(call, next, own) : undefined;
    if (together) index++;
    const dispatches = together ?? dispatchesOf(call, own);
    found.push(...dispatches.map((dispatch) => ({ dispatch, call: index, when: call.when })));
  }
  return found;
}

/**
 * Plans that share one set of tensors: allocates what all their bindings need (the largest of all plans, before any bind group is made);
 * buffers that only optional calls bind come with their pipelines. Nothing is compiled yet: see `PreparedPlan.prepare`. A plan given as
 * dispatches is no model's: no calls.
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
  const all: readonly PlanDispatch[] = chosen.flatMap(({ items }) => items);
  for (const { dispatch } of all) {
    if (dispatch.bindings.length <= limit) continue;
    throw new InternalError(`${dispatch.label} binds ${dispatch.bindings.length} buffers, the device allows ${limit}`);
  }
  const allocate = async (feature: StepFeature | undefined): Promise<void> => {
    for (const { dispatch, when } of all) {
      if (when === feature) for (const binding of dispatch.bindings) await tensors.ensure(binding);
    }
    // What others share with these must be large enough for both now: bind groups cannot follow a buffer that grows.
    for (const binding of all.flatMap(({ dispatch }) => dispatch.bindings)) {
      if (tensors.has(binding)) await tensors.ensure(binding);
    }
  };
  // One after the other: a buffer is made once, whichever plan needs it first.
  const allocated = new Map<StepFeature | undefined, Promise<void>>();
  let last = allocate(undefined);
  allocated.set(undefined, last);
  await last;
  const allocatedFor = (feature: StepFeature | undefined): Promise<void> => {
    const known = allocated.get(feature);
    if (known) return known;
    last = last.catch(() => undefined).then(() => allocate(feature));
    allocated.set(feature, last);
    return last;
  };
  return chosen.map(
    ({ calls, items }) =>
      new PreparedPlan(calls, items, async (part) => {
        for (const feature of new Set(part.map(({ when }) => when))) await allocatedFor(feature);
        return compile(gpu, tensors, part);
      }),
  );
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

/** `allocatePlans`, and all of them prepared at once, optional calls too. */
export async function preparePlans(
  gpu: GpuDevice,
  tensors: GpuTensors,
  plans: readonly { readonly calls: readonly OpCall[]; readonly target: KernelTarget }[],
): Promise<PreparedPlan[]> {
  const allocated = await allocatePlans(gpu, tensors, plans);
  await Promise.all(allocated.map((plan) => plan.prepare(plan.calls.flatMap(({ when }) => when ?? []))));
  return allocated;
}
