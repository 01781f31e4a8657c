import {
  type Batch,
  type KvGroup,
  MAX_LOGIT_BIAS,
  type PageStore,
  type Runner,
  type RunnerLimits,
  type SegmentResult,
  type SlotInit,
  type StepResult,
} from '../engine/runner';
import { usesPenalties } from '../engine/sampler_chain';
import type { StepFeature } from '../engine/step_features';
import { InternalError } from '../errors';
import type { GpuDevice } from '../gpu/device';
import { ReadbackRing } from '../gpu/readback';
import type { Activation, RowBucket, State } from '../ops/op';
import { decodeSamples, encodeBias, encodeCounts, encodePast, SAMPLE_WORDS, windowOf } from '../ops/sample/record';
import type { SamplerStates } from '../ops/sampler_state';
import type { StepShape } from '../ops/step_layout';
import type { GpuTensors } from './gpu_tensors';
import { mappedBytes } from './read_buffer';
import { groupSamples, withHidden } from './results';
import { firstMu } from './slots';
import { MAX_REPEAT } from './step_advance';
import type { StepEncoder } from './step_encoder';
import type { PreparedPlan } from './webgpu_executor';

/** Steps whose samples may be on their way back at once. */
const READBACK_DEPTH = 4;

/** What several runs of a step in one submit need; see step_advance.ts. */
export interface Repeater {
  readonly advance: PreparedPlan;
  readonly history: State;
}

export interface BucketPlan {
  readonly bucket: RowBucket;
  readonly plan: PreparedPlan;
}

/** Runs batches on the GPU: one buffer write, one pass, one submit and one mapping a batch, repeated or not; nothing is created. */
export class WebGpuRunner implements Runner {
  private constructor(
    private readonly gpu: GpuDevice,
    private readonly tensors: GpuTensors,
    private readonly plans: readonly BucketPlan[],
    private readonly encoder: StepEncoder,
    private readonly states: SamplerStates,
    private readonly ring: ReadbackRing,
    private readonly repeater: Repeater | undefined,
    readonly limits: RunnerLimits,
    private readonly logits: Activation,
    private readonly hidden: Activation | undefined,
    readonly pages: PageStore | undefined,
    /** A page of any layer on its way to another place. */
    private readonly page: GPUBuffer,
  ) {}

  static async create(parts: {
    gpu: GpuDevice;
    tensors: GpuTensors;
    plans: readonly BucketPlan[];
    encoder: StepEncoder;
    states: SamplerStates;
    limits: RunnerLimits;
    logits: Activation;
    /** Absent: rows cannot be returned. */
    hidden?: Activation;
    /** Absent: batches cannot be repeated. */
    repeater?: Repeater;
    /** Absent: pages cannot be taken out. */
    pages?: PageStore;
  }): Promise<WebGpuRunner> {
    const { gpu, tensors, plans, encoder, states, repeater, logits, hidden, pages } = parts;
    const maxRepeat = repeater ? MAX_REPEAT : 1;
    const limits = { ...parts.limits, maxRepeat };
    const ring = await ReadbackRing.create(gpu, maxRepeat * limits.maxSampledRows * SAMPLE_WORDS * 4, READBACK_DEPTH);
    const caches = (['full', 'sliding'] as const).flatMap((group) => tensors.kvBuffers(group));
    const page = await gpu.createBuffer({
      label: 'page copy',
      size: Math.max(4, ...caches.map(({ pageBytes }) => pageBytes)),
      usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    return new WebGpuRunner(gpu, tensors, plans, encoder, states, ring, repeater, limits, logits, hidden, pages, page);
  }

  /** Undefined when a step of `rows` rows can run; otherwise its pipelines are being compiled: settles when they are. */
  ready(rows: number, features: readonly StepFeature[] = []): Promise<void> | undefined {
    const plan = this.planFor(rows);
    return plan.isReady(features) ? undefined : plan.prepare(features);
  }

  openSlot(slot: number, init: SlotInit): void {
    const { queue } = this.gpu.device;
    const { vocabSize } = this.limits;
    if (usesPenalties(init.sampling)) {
      queue.writeBuffer(this.tensors.state(this.states.counts), slot * vocabSize * 4, encodeCounts(init, vocabSize));
    }
    if (windowOf(init.sampling) !== undefined) {
      const past = this.tensors.state(this.states.past);
      queue.writeBuffer(past, slot * this.limits.contextLength * 4, encodePast(init));
    }
    if (init.sampling.mirostat > 0) {
      queue.writeBuffer(this.tensors.state(this.states.mu), slot * 4, Float32Array.of(firstMu(init)));
    }
    if (init.sampling.logitBias.length > 0) {
      const bias = encodeBias(init.sampling, vocabSize);
      queue.writeBuffer(this.tensors.state(this.states.bias), slot * MAX_LOGIT_BIAS * 8, bias);
    }
  }

  // Not async: the step must be submitted before the call returns, so that steps execute in the order of the calls.
  run(batch: Batch): Promise<StepResult> {
    const { gpu, tensors, ring } = this;
    if (gpu.lostError) return Promise.reject(gpu.lostError);
    const { words, shape } = this.encoder.encode(batch);
    const { device } = gpu;
    device.queue.writeBuffer(tensors.step, 0, words);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    const repeat = batch.repeat ?? 1;
    this.encodeRuns(pass, shape, repeat);
    pass.end();
    // An encoder samples nothing: its vectors come the way of logits.
    const from = repeat > 1 ? this.requireRepeater().history : this.states.samples;
    const samples =
      shape.sampledRows > 0 && this.limits.embeddingSize === undefined
        ? ring.copy(encoder, tensors.state(from), repeat * shape.sampledRows * SAMPLE_WORDS * 4)
        : undefined;
    const logits = batch.segments.some((segment) => segment.returnLogits)
      ? this.copyRows(encoder, this.logits, shape.sampledRows)
      : undefined;
    const hidden =
      this.hidden && batch.segments.some((segment) => segment.returnHidden)
        ? this.copyRows(encoder, this.hidden, shape.rows)
        : undefined;
    device.queue.submit([encoder.finish()]);
    // A step that samples nothing still must not run ahead of the GPU without bound.
    return this.collect(batch, samples ? samples.read() : this.nothingSampled(), logits?.(), hidden?.());
  }

  copyPages(pairs: readonly (readonly [from: number, to: number])[], group: KvGroup): void {
    if (pairs.length === 0) return;
    const encoder = this.gpu.device.createCommandEncoder();
    for (const { buffer, pageBytes } of this.tensors.kvBuffers(group)) {
      // WebGPU does not copy within a buffer. One after the other: what was copied may be copied on.
      for (const [from, to] of pairs) {
        encoder.copyBufferToBuffer(buffer, from * pageBytes, this.page, 0, pageBytes);
        encoder.copyBufferToBuffer(this.page, 0, buffer, to * pageBytes, pageBytes);
      }
    }
    this.gpu.device.queue.submit([encoder.finish()]);
  }

  traffic(batch: Batch): number {
    const { shape } = this.encoder.encode(batch);
    return this.planFor(shape.rows)
      .describe(shape)
      .reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** The plan that a step of `rows` rows runs on. */
  planFor(rows: number): PreparedPlan {
    const found = this.plans.find(({ bucket }) => rows <= bucket.maxRows);
    if (!found) throw new InternalError(`no plan for a step of ${rows} rows`);
    return found.plan;
  }

  dispose(): void {
    this.ring.dispose();
    this.gpu.destroyBuffer(this.page);
    this.tensors.dispose();
  }

  private encodeRuns(pass: GPUComputePassEncoder, shape: StepShape, repeat: number): void {
    const plan = this.planFor(shape.rows);
    plan.encode(pass, shape);
    if (repeat === 1) return;
    const { advance } = this.requireRepeater();
    // From the second run on each segment is one row.
    const { segments } = shape;
    const again = this.planFor(segments);
    for (let run = 1; run < repeat; run++) {
      advance.encode(pass, shape);
      again.encode(pass, { ...shape, rows: segments, tiles: segments, maxLength: shape.maxLength + run });
    }
    // Keeps the samples of the last run.
    advance.encode(pass, shape);
  }

  private requireRepeater(): Repeater {
    if (!this.repeater) throw new InternalError('this runner cannot repeat a batch');
    return this.repeater;
  }

  private async collect(
    batch: Batch,
    words: Promise<Uint32Array>,
    logits: Promise<Float32Array> | undefined,
    hidden: Promise<Float32Array> | undefined,
  ): Promise<StepResult> {
    const [all, rows, vectors] = await Promise.all([words, logits, hidden]);
    const samples = decodeSamples(all, all.length / SAMPLE_WORDS);
    const segments: SegmentResult[] = groupSamples(batch, samples, rows, this.logits.cols);
    if (!vectors || !this.hidden) return { segments };
    return { segments: withHidden(batch, segments, vectors, this.hidden.cols) };
  }

  private async nothingSampled(): Promise<Uint32Array> {
    const { gpu } = this;
    await gpu.device.queue.onSubmittedWorkDone().catch(async (cause: unknown) => {
      throw await gpu.explain('step', cause);
    });
    gpu.throwIfFaulted();
    return new Uint32Array(0);
  }

  /** For those who compare whole rows, never for plain decoding: a staging buffer of its own. */
  private copyRows(encoder: GPUCommandEncoder, tensor: Activation, rows: number): () => Promise<Float32Array> {
    const { device } = this.gpu;
    const bytes = rows * tensor.cols * 4;
    const staging = device.createBuffer({
      label: tensor.name,
      size: bytes,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    encoder.copyBufferToBuffer(this.tensors.activation(tensor), 0, staging, 0, bytes);
    return async () => {
      try {
        return new Float32Array(await mappedBytes(this.gpu, staging, tensor.name));
      } finally {
        staging.destroy();
      }
    };
  }
}
