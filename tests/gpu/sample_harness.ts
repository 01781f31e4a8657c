import type { Sample, SamplingSettings, Segment } from '../../src/engine/runner';
import type { StepFeature } from '../../src/engine/step_features';
import type { GpuDevice } from '../../src/gpu/device';
import { readBuffer } from '../../src/model/read_buffer';
import { describeStep, StepEncoder, stepBufferWords } from '../../src/model/step_encoder';
import { argmaxOp } from '../../src/ops/argmax';
import type { Activation, Binding, Dispatch, KernelTarget, ReferenceEnv } from '../../src/ops/op';
import { sampleChainOp } from '../../src/ops/sample/chain_op';
import { decodeSamples, encodeBias, floatBits, SAMPLE_WORDS } from '../../src/ops/sample/record';
import { sampleOp } from '../../src/ops/sample/sample';
import { type SamplerStates, samplerStates } from '../../src/ops/sampler_state';
import { PAGE_SIZE } from '../../src/ops/step_layout';

const CONTEXT = 8192;
const STORAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

interface Prepared {
  /** Only in steps that ask for it. */
  readonly when?: StepFeature;
  readonly dispatch: Dispatch;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
}

interface SamplerInput {
  readonly segments: readonly Segment[];
  /** [sampledRows × vocab] */
  readonly logits: Float32Array;
  /** [slots × vocab]; none seen when absent. */
  readonly counts?: Uint32Array;
}

interface SamplerOutput {
  readonly samples: readonly Sample[];
  readonly lastTokens: Uint32Array;
  readonly counts: Uint32Array;
}

/** A one-row segment in its own slot, sampled at `position`. */
export function rowAt(slot: number, position: number, sampling: SamplingSettings): Segment {
  const pages = Array.from({ length: Math.floor(position / PAGE_SIZE) + 1 }, () => 0);
  return { slot, tokens: [0], position, pages, sample: 'last', sampling };
}

/** Both token-choosing ops over one set of buffers, as a plan's tail has them, without a model in front. */
export class SamplerHarness {
  private readonly buffers = new Map<string, GPUBuffer>();
  private readonly prepared: Prepared[] = [];
  private readonly encoder: StepEncoder;
  readonly states: SamplerStates;
  private readonly logits: Activation;

  private constructor(
    private readonly gpu: GpuDevice,
    readonly vocab: number,
    private readonly rows: number,
    private readonly slots: number,
  ) {
    this.states = samplerStates({ maxSlots: slots, vocabSize: vocab, maxSampledRows: rows, contextLength: CONTEXT });
    this.logits = { name: 'logits', cols: vocab, rows: 'sampled', type: 'f32' };
    this.encoder = new StepEncoder(this.capacity());
  }

  /** Makes room for `rows` sampled rows in as many slots unless given; `chain`: for settings that the plain sampler lacks too. */
  static async create(
    gpu: GpuDevice,
    vocab: number,
    rows: number,
    slots = rows,
    chain = false,
  ): Promise<SamplerHarness> {
    const harness = new SamplerHarness(gpu, vocab, rows, slots);
    await harness.prepare(chain);
    return harness;
  }

  async run({ segments, logits, counts }: SamplerInput): Promise<SamplerOutput> {
    const { queue } = this.gpu.device;
    const { words, shape } = this.encoder.encode({ segments });
    const poisoned = new Float32Array(this.rows * this.vocab).fill(Number.NaN);
    poisoned.set(logits);
    queue.writeBuffer(this.buffer('step'), 0, words);
    queue.writeBuffer(this.buffer('logits'), 0, poisoned);
    const before = new Uint32Array(this.states.counts.words);
    if (counts) before.set(counts);
    queue.writeBuffer(this.buffer(this.states.counts.name), 0, before);
    queue.writeBuffer(this.buffer(this.states.bias.name), 0, this.biasWords(segments));
    for (const { slot, sampling } of segments) {
      const mu = Uint32Array.of(floatBits(2 * sampling.mirostatTau));
      queue.writeBuffer(this.buffer(this.states.mu.name), 4 * slot, mu);
    }
    await this.gpu.checked('sampler', () => {
      const encoder = this.gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (const { dispatch, pipeline, bindGroup, when } of this.prepared) {
        if (when && !shape.features?.includes(when)) continue;
        const [x, y, z] = dispatch.workgroups(shape);
        if (x === 0 || y === 0 || z === 0) continue;
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup);
        pass.dispatchWorkgroups(x, y, z);
      }
      pass.end();
      queue.submit([encoder.finish()]);
    });
    return this.output(
      shape.sampledRows,
      async (name) => new Uint32Array(await readBuffer(this.gpu, this.buffer(name))),
    );
  }

  /** The same step by the references. */
  async expected({ segments, logits, counts }: SamplerInput): Promise<SamplerOutput> {
    const arrays = new Map<string, Uint32Array>();
    for (const state of Object.values(this.states) as readonly { name: string; words: number }[]) {
      arrays.set(state.name, new Uint32Array(state.words));
    }
    if (counts) arrays.get(this.states.counts.name)?.set(counts);
    arrays.get(this.states.bias.name)?.set(this.biasWords(segments));
    const unused = (): never => {
      throw new Error('the sampler has no weights');
    };
    const batch = describeStep({ segments });
    const env: ReferenceEnv = {
      batch,
      activation: () => logits,
      weightRow: unused,
      vector: unused,
      kv: unused,
      cached: unused,
      state: ({ name }) => arrays.get(name) ?? unused(),
    };
    sampleOp.reference({ op: 'sample', logits: this.logits, ...this.states }, env);
    return this.output(batch.sampled.length, async (name) => arrays.get(name) ?? unused());
  }

  dispose(): void {
    for (const buffer of this.buffers.values()) this.gpu.destroyBuffer(buffer);
  }

  private capacity() {
    const rows = 3 * this.rows;
    return {
      maxRows: rows,
      maxSegments: this.rows,
      maxSampledRows: this.rows,
      contextLength: CONTEXT,
      tileRows: 1,
      sampler: { vocabSize: this.vocab, contextLength: this.states.past.words / this.slots },
    };
  }

  private async output(sampledRows: number, read: (name: string) => Promise<Uint32Array>): Promise<SamplerOutput> {
    const words = await read(this.states.samples.name);
    return {
      samples: decodeSamples(words.subarray(0, this.rows * SAMPLE_WORDS), sampledRows),
      lastTokens: (await read(this.states.lastTokens.name)).slice(0, this.slots),
      counts: (await read(this.states.counts.name)).slice(0, this.states.counts.words),
    };
  }

  private biasWords(segments: readonly Segment[]): Uint32Array<ArrayBuffer> {
    const words = new Uint32Array(this.states.bias.words);
    for (const { slot, sampling } of segments) {
      words.set(encodeBias(sampling, this.vocab), (slot * words.length) / this.slots);
    }
    return words;
  }

  private buffer(name: string): GPUBuffer {
    const buffer = this.buffers.get(name);
    if (!buffer) throw new Error(`no buffer "${name}"`);
    return buffer;
  }

  private nameAndBytes(binding: Binding): readonly [string, number] {
    switch (binding.kind) {
      case 'step':
        return ['step', stepBufferWords(this.capacity()) * 4];
      case 'activation':
        return ['logits', this.rows * this.vocab * 4];
      case 'state':
        return [binding.state.name, binding.state.words * 4];
      case 'scratch':
        return [binding.name, binding.bytes];
      default:
        throw new Error(`the sampler binds no ${binding.kind}`);
    }
  }

  private async prepare(chain: boolean): Promise<void> {
    const { gpu, logits, states } = this;
    const target: KernelTarget = {
      capabilities: gpu.capabilities,
      bucket: { minRows: 1, maxRows: 3 * this.rows },
      kvType: 'f32',
      contextLength: CONTEXT,
      maxSampledRows: this.rows,
      maxSlots: this.slots,
      weightParts: () => [],
    };
    const argmax = { op: 'argmax', logits, lastTokens: states.lastTokens, samples: states.samples } as const;
    const sample = { op: 'sample', logits, ...states } as const;
    argmaxOp.check(argmax);
    sampleOp.check(sample);
    const chained = chain ? sampleChainOp.dispatches({ ...sample, op: 'sample_chain' }, target) : [];
    for (const dispatch of [
      ...argmaxOp.dispatches(argmax, target),
      ...chained,
      ...sampleOp.dispatches(sample, target),
    ]) {
      for (const binding of dispatch.bindings) {
        const [name, bytes] = this.nameAndBytes(binding);
        if (!this.buffers.has(name)) {
          this.buffers.set(
            name,
            await gpu.createBuffer({ label: name, size: Math.ceil(bytes / 16) * 16, usage: STORAGE }),
          );
        }
      }
      const access = dispatch.bindings.map((binding) => ('access' in binding ? binding.access : 'read'));
      const pipeline = await gpu.pipelines.get(dispatch.source, access);
      const bindGroup = gpu.device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: dispatch.bindings.map((binding, slot) => ({
          binding: slot,
          resource: { buffer: this.buffer(this.nameAndBytes(binding)[0]) },
        })),
      });
      this.prepared.push({
        dispatch,
        pipeline,
        bindGroup,
        when: chained.includes(dispatch) ? 'sampler_chain' : undefined,
      });
    }
  }
}
