import { type Batch, GREEDY, type Segment } from '../../src/engine/runner';
import { numberToHalf } from '../../src/formats/half';
import type { GpuDevice } from '../../src/gpu/device';
import { GpuTensors } from '../../src/model/gpu_tensors';
import { normals, seededRandom } from '../../src/model/random';
import { readBuffer } from '../../src/model/read_buffer';
import { StepEncoder, stepBufferWords } from '../../src/model/step_encoder';
import type { LinearCall } from '../../src/ops/calls';
import { gemvDispatches } from '../../src/ops/linear/gemv';
import type { ActivationType, Dispatch } from '../../src/ops/op';
import type { KernelTuning } from '../../src/ops/tuning';
import { loadRandomWeights } from './random_weight';

const MAX_ROWS = 16;
/** Rows of x for each sampled row: the others of its segment. */
const ROWS_PER_SEGMENT = 3;

/** What a row of a product is made of: a row of x, and what its row of out held. */
export interface LinearRow {
  readonly x: Float32Array<ArrayBuffer>;
  readonly before: Float32Array<ArrayBuffer>;
}

export function randomRow(call: LinearCall, random: () => number): LinearRow {
  return { x: normals(call.x.cols, random), before: normals(call.out.cols, random) };
}

interface Prepared {
  readonly dispatch: Dispatch;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
}

/** The memory-bound kernels of one call with one tuning, over weights and vectors drawn from a seed. */
export class LinearHarness {
  private constructor(
    private readonly gpu: GpuDevice,
    private readonly call: LinearCall,
    private readonly tensors: GpuTensors,
    private readonly prepared: readonly Prepared[],
    private readonly encoder: StepEncoder,
  ) {}

  /** For steps of `rows.minRows` to `rows.maxRows` rows (sampled rows, where out has those). */
  static async create(
    gpu: GpuDevice,
    call: LinearCall,
    seed: number,
    rows: { readonly minRows: number; readonly maxRows: number },
    tuning?: KernelTuning,
  ): Promise<LinearHarness> {
    const random = seededRandom(seed);
    const maxRows = MAX_ROWS * ROWS_PER_SEGMENT;
    const capacity = { maxRows, maxSegments: MAX_ROWS, maxSampledRows: MAX_ROWS, contextLength: 64, tileRows: 32 };
    const sizes = { maxRows, maxSampledRows: MAX_ROWS, numPages: 1, kvType: 'f32' } as const;
    const tensors = await GpuTensors.create(gpu, { ...sizes, stepWords: stepBufferWords(capacity) });
    const { weight } = call;
    await loadRandomWeights(gpu, tensors, [weight], random);
    const parts = tensors.weightParts(weight);
    for (const vector of [call.norm?.weight, call.bias]) {
      if (vector) await tensors.addVector(vector, normals(vector.length, random));
    }
    const target = {
      capabilities: gpu.capabilities,
      bucket: rows,
      kvType: 'f32',
      contextLength: 64,
      maxSampledRows: MAX_ROWS,
      maxSlots: MAX_ROWS,
      weightParts: () => parts,
      tuning,
    } as const;
    const prepared: Prepared[] = [];
    for (const dispatch of gemvDispatches(call, target)) {
      for (const binding of dispatch.bindings) await tensors.ensure(binding);
      const access = dispatch.bindings.map((binding) => ('access' in binding ? binding.access : 'read'));
      const pipeline = await gpu.pipelines.get(dispatch.source, access);
      const entries = dispatch.bindings.map((binding, slot) => ({
        binding: slot,
        resource: { buffer: tensors.buffer(binding) },
      }));
      const layout = gpu.pipelines.bindGroupLayout(access);
      prepared.push({ dispatch, pipeline, bindGroup: gpu.device.createBindGroup({ layout, entries }) });
    }
    return new LinearHarness(gpu, call, tensors, prepared, new StepEncoder(capacity));
  }

  /** The bytes of each row of out after a step of these rows. */
  async run(rows: readonly LinearRow[]): Promise<Uint8Array[]> {
    const { call, tensors } = this;
    const { device } = this.gpu;
    const gathered = call.out.rows === 'sampled' && call.x.rows === 'step';
    const { words, shape } = this.encoder.encode(gathered ? sampledBatch(rows.length) : plainBatch(rows.length));
    // A gathered row is its segment's last.
    const stride = gathered ? ROWS_PER_SEGMENT : 1;
    const x = new Float32Array(rows.length * stride * call.x.cols).fill(Number.NaN);
    for (const [i, row] of rows.entries()) x.set(row.x, ((i + 1) * stride - 1) * call.x.cols);
    const before = rows.flatMap((row) => [...row.before]);
    device.queue.writeBuffer(tensors.step, 0, words);
    device.queue.writeBuffer(tensors.activation(call.x), 0, encoded(x, call.x.type));
    device.queue.writeBuffer(tensors.activation(call.out), 0, encoded(Float32Array.from(before), call.out.type));
    await this.gpu.checked('linear', () => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (const { dispatch, pipeline, bindGroup } of this.prepared) {
        const [groupsX, groupsY, groupsZ] = dispatch.workgroups(shape);
        if (groupsX * groupsY * groupsZ === 0) continue;
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup);
        pass.dispatchWorkgroups(groupsX, groupsY, groupsZ);
      }
      pass.end();
      device.queue.submit([encoder.finish()]);
    });
    const out = new Uint8Array(await readBuffer(this.gpu, tensors.activation(call.out)));
    const rowBytes = call.out.cols * (call.out.type === 'f16' ? 2 : 4);
    return rows.map((_, row) => out.slice(row * rowBytes, (row + 1) * rowBytes));
  }

  dispose(): void {
    this.tensors.dispose();
  }
}

function segment(slot: number, rows: number, sample: Segment['sample']): Segment {
  const tokens = Array.from({ length: rows }, () => 0);
  return { slot, tokens, position: 0, pages: [0], sample, sampling: GREEDY };
}

function plainBatch(rows: number): Batch {
  return { segments: [segment(0, rows, 'all')] };
}

function sampledBatch(rows: number): Batch {
  return { segments: Array.from({ length: rows }, (_, slot) => segment(slot, ROWS_PER_SEGMENT, 'last')) };
}

/** As the storage type has it, in whole words. */
function encoded(
  values: Float32Array<ArrayBuffer>,
  type: ActivationType,
): Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> {
  if (type === 'f32') return values;
  return Uint16Array.from({ length: Math.ceil(values.length / 2) * 2 }, (_, i) => numberToHalf(values[i] ?? 0));
}
