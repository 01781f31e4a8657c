import {
  type Batch,
  type KvGroup,
  MAX_LOGIT_BIAS,
  type PageStore,
  type Runner,
  type RunnerLimits,
  type SlotInit,
  type StepResult,
} from '../engine/runner';
import type { OpCall } from '../ops/calls';
import type { Activation } from '../ops/op';
import { decodeSamples, encodeBias, encodeCounts, encodePast, floatBits, SAMPLE_WORDS } from '../ops/sample/record';
import type { SamplerStates } from '../ops/sampler_state';
import type { ModelSpec } from './model_spec';
import type { ReferenceExecutor } from './reference_executor';
import { ReferencePageStore } from './reference_page_store';
import { groupSamples, withHidden } from './results';
import { firstMu } from './slots';
import { describeStep } from './step_encoder';

/** Runs batches on the reference executor: the fallback for tiny models where there is no WebGPU. */
export class ReferenceRunner implements Runner {
  readonly pages: PageStore;
  private tail: Promise<unknown> = Promise.resolve();
  private readonly hidden: Activation | undefined;

  /** `format`: what pages of two runs must have in common beside the weights. */
  constructor(
    private readonly executor: ReferenceExecutor,
    private readonly calls: readonly OpCall[],
    private readonly states: SamplerStates,
    readonly limits: RunnerLimits,
    private readonly logits: Activation,
    { spec, format }: { readonly spec: Pick<ModelSpec, 'caches' | 'weights' | 'hidden'>; readonly format: string },
  ) {
    this.hidden = spec.hidden;
    this.pages = new ReferencePageStore(executor, spec, format, (work) => this.enqueue(work));
  }

  openSlot(slot: number, init: SlotInit): void {
    void this.enqueue(() => {
      const { vocabSize } = this.limits;
      this.executor.state(this.states.counts).set(encodeCounts(init, vocabSize), slot * vocabSize);
      this.executor.state(this.states.bias).set(encodeBias(init.sampling, vocabSize), slot * MAX_LOGIT_BIAS * 2);
      this.executor.state(this.states.past).set(encodePast(init), slot * this.limits.contextLength);
      this.executor.state(this.states.mu)[slot] = floatBits(firstMu(init));
    });
  }

  run(batch: Batch): Promise<StepResult> {
    return this.enqueue(() => {
      const step = describeStep(batch);
      this.executor.run(this.calls, step);
      const rows = step.sampled.length;
      const words = this.executor.state(this.states.samples).slice(0, rows * SAMPLE_WORDS);
      const wantsLogits = batch.segments.some((segment) => segment.returnLogits);
      const logits = wantsLogits ? this.executor.activation(this.logits, step) : undefined;
      const segments = groupSamples(batch, decodeSamples(words, rows), logits, this.logits.cols);
      if (!this.hidden || !batch.segments.some(({ returnHidden }) => returnHidden)) return { segments };
      const hidden = this.executor.activation(this.hidden, step);
      return { segments: withHidden(batch, segments, hidden, this.hidden.cols) };
    });
  }

  copyPages(pairs: readonly (readonly [from: number, to: number])[], group: KvGroup): void {
    void this.enqueue(() => this.executor.copyPages(pairs, group));
  }

  dispose(): void {}

  /** In call order, each in a task of its own so that messages (an abort) get in between. */
  private enqueue<T>(work: () => T): Promise<T> {
    const result = this.tail.then(
      () =>
        new Promise<T>((resolve, reject) => {
          setTimeout(() => {
            try {
              resolve(work());
            } catch (error) {
              reject(error instanceof Error ? error : new Error(String(error)));
            }
          });
        }),
    );
    this.tail = result.catch(() => undefined);
    return result;
  }
}
