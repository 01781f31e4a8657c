import type { Batch } from '../../src/engine/runner';
import type { GpuDevice } from '../../src/gpu/device';
import { tensorsOf } from '../../src/model/call_tensors';
import { GpuTensors } from '../../src/model/gpu_tensors';
import { readBuffer } from '../../src/model/read_buffer';
import { StepEncoder, stepBufferWords, tileRowsOf } from '../../src/model/step_encoder';
import { type PreparedPlan, preparePlans } from '../../src/model/webgpu_executor';
import type { OpCall } from '../../src/ops/calls';
import type { Activation, KvType, RowBucket } from '../../src/ops/op';
import type { KernelTuning } from '../../src/ops/tuning';

interface OpHarnessOptions {
  readonly calls: readonly OpCall[];
  readonly bucket: RowBucket;
  readonly contextLength: number;
  readonly numPages: number;
  readonly kvType: KvType;
  readonly vectors?: Readonly<Record<string, Float32Array<ArrayBuffer>>>;
  readonly tuning?: KernelTuning;
}

/** Calls on f32 activations over buffers that stay from step to step, as in a model: for tests that compare steps with each other. */
export class OpHarness {
  private constructor(
    private readonly gpu: GpuDevice,
    private readonly tensors: GpuTensors,
    private readonly plan: PreparedPlan,
    private readonly encoder: StepEncoder,
  ) {}

  static async create(gpu: GpuDevice, options: OpHarnessOptions): Promise<OpHarness> {
    const { calls, bucket, contextLength, numPages, kvType } = options;
    const capacity = {
      maxRows: bucket.maxRows,
      maxSegments: bucket.maxRows,
      maxSampledRows: 1,
      contextLength,
      tileRows: tileRowsOf(calls),
    };
    const sizes = {
      maxRows: bucket.maxRows,
      maxSampledRows: 1,
      numPages,
      kvType,
      stepWords: stepBufferWords(capacity),
    };
    const tensors = await GpuTensors.create(gpu, sizes);
    for (const vector of tensorsOf(calls).vectors) {
      const values = options.vectors?.[vector.name];
      if (!values) throw new Error(`no values for vector "${vector.name}"`);
      await tensors.addVector(vector, values);
    }
    const target = {
      capabilities: gpu.capabilities,
      bucket,
      kvType,
      tuning: options.tuning,
      contextLength,
      maxSampledRows: 1,
      maxSlots: bucket.maxRows,
      weightParts: () => [],
    };
    const [plan] = await preparePlans(gpu, tensors, [{ calls, target }]);
    return new OpHarness(gpu, tensors, plan, new StepEncoder(capacity));
  }

  /** Runs one step with `values` as the rows of `input` and gives the rows of `output`. */
  async run(
    batch: Batch,
    input: Activation,
    values: Float32Array<ArrayBuffer>,
    output: Activation,
  ): Promise<Float32Array> {
    const { device } = this.gpu;
    device.queue.writeBuffer(this.tensors.activation(input), 0, values);
    const { words, shape } = this.encoder.encode(batch);
    device.queue.writeBuffer(this.tensors.step, 0, words);
    await this.gpu.checked('step', () => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      this.plan.encode(pass, shape);
      pass.end();
      device.queue.submit([encoder.finish()]);
    });
    const bytes = await readBuffer(this.gpu, this.tensors.activation(output));
    return new Float32Array(bytes, 0, shape.rows * output.cols);
  }

  dispose(): void {
    this.tensors.dispose();
  }
}
