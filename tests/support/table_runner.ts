import type { Batch, Runner, RunnerLimits, SlotInit, StepResult } from '../../src/engine/runner';
import { PENDING_TOKEN } from '../../src/engine/runner';
import { groupSamples } from '../../src/model/results';
import { describeStep } from '../../src/model/step_encoder';
import type { Activation, ReferenceEnv } from '../../src/ops/op';
import { sampleChainOp } from '../../src/ops/sample/chain_op';
import { decodeSamples, encodeCounts, encodePast } from '../../src/ops/sample/record';
import { sampleOp } from '../../src/ops/sample/sample';
import { type SamplerStates, samplerStates } from '../../src/ops/sampler_state';

/** A model whose next token depends on the token before alone, by a table of weights; its samplers are the references of the real ones. */
export class TableRunner implements Runner {
  readonly limits: RunnerLimits;
  readonly #states: SamplerStates;
  readonly #arrays = new Map<string, Uint32Array>();
  readonly #logits: Activation;

  constructor(
    vocabSize: number,
    private readonly weights: (token: number) => readonly number[],
  ) {
    this.limits = {
      vocabSize,
      contextLength: 16,
      maxRows: 16,
      maxSampledRows: 16,
      maxSlots: 1,
      pageSize: 16,
      numPages: 1,
      maxRepeat: 4,
    };
    this.#states = samplerStates({ maxSlots: 1, vocabSize, maxSampledRows: 16, contextLength: 16 });
    for (const { name, words } of Object.values(this.#states)) this.#arrays.set(name, new Uint32Array(words));
    this.#logits = { name: 'logits', cols: vocabSize, rows: 'sampled', type: 'f32' };
  }

  openSlot(_slot: number, init: SlotInit): void {
    this.#array(this.#states.counts.name).set(encodeCounts(init, this.limits.vocabSize));
    this.#array(this.#states.past.name).set(encodePast(init));
  }

  async run({ segments: [segment], repeat = 1 }: Batch): Promise<StepResult> {
    const samples = Array.from({ length: repeat }, (_, run) => {
      const again = { tokens: [PENDING_TOKEN], position: segment.position + segment.tokens.length - 1 + run };
      return this.#runOnce({ segments: [{ ...segment, ...(run > 0 && again) }] }).segments[0].samples;
    });
    return { segments: [{ samples: samples.flat() }] };
  }

  copyPages(): void {}

  dispose(): void {}

  #runOnce(batch: Batch): StepResult {
    const step = describeStep(batch);
    const known = this.#array(this.#states.lastTokens.name)[0];
    const { vocabSize } = this.limits;
    const logits = Float32Array.from({ length: step.sampled.length * vocabSize }, (_, i) => {
      const { token } = step.rows[step.sampled[Math.floor(i / vocabSize)].row];
      return Math.log(this.weights(token === PENDING_TOKEN ? known : token)[i % vocabSize]);
    });
    const unused = (): never => {
      throw new Error('a table has no weights');
    };
    const env: ReferenceEnv = {
      batch: step,
      activation: () => logits,
      weightRow: unused,
      vector: unused,
      kv: unused,
      cached: unused,
      state: ({ name }) => this.#array(name),
    };
    const call = { logits: this.#logits, ...this.#states };
    sampleChainOp.reference({ op: 'sample_chain', ...call }, env);
    sampleOp.reference({ op: 'sample', ...call }, env);
    const decoded = decodeSamples(this.#array(this.#states.samples.name), step.sampled.length);
    return { segments: groupSamples(batch, decoded, undefined, vocabSize) };
  }

  #array(name: string): Uint32Array {
    const array = this.#arrays.get(name);
    if (!array) throw new Error(`no state "${name}"`);
    return array;
  }
}
