import type { ScheduledBatch } from './batch';
import { RepeatPolicy } from './repeat_policy';
import type { Runner, StepResult } from './runner';
import type { Scheduler } from './scheduler';
import { featuresOf } from './step_features';

/** What one step did. */
export interface StepMetrics {
  readonly rows: number;
  readonly prefillRows: number;
  readonly decodeRows: number;
  /** Decode steps in one submit: each of the `rows` was computed this often. */
  readonly repeat: number;
  /** From its submission, or the end of the step before if that is later, until its results were read back. */
  readonly ms: number;
  /** What was read and written in device memory in that time, in bytes: of some steps without prefill, since counting costs time. */
  readonly bytes?: number;
  readonly pagesInUse: number;
  /** Positions of the pages in use that hold nothing. */
  readonly unusedPositions: number;
}

/** One of so many decode steps has its bytes counted. */
const COUNTED_EVERY = 16;

interface Step {
  readonly batch: ScheduledBatch;
  readonly result: Promise<StepResult>;
  readonly submittedAt: number;
}

export interface StepLoopOptions {
  /** Steps that are submitted before the oldest has been read back. */
  readonly maxStepsInFlight: number;
  /** Longest that a submit of several decode steps should take. */
  readonly submitBudgetMs?: number;
  readonly onStep: (metrics: StepMetrics) => void;
  /** The runner rejected, or an invariant broke: the loop has ended. */
  readonly onFailure: (error: unknown) => void;
}

/** Runs the steps of one scheduler on one runner, several in flight, while there is work. */
export class StepLoop {
  #working = false;
  #stopped = false;
  #lastSettledAt = 0;
  #compiling: Promise<void> | undefined;
  #decodeSteps = 0;
  readonly #inFlight: Step[] = [];
  readonly #policy: RepeatPolicy;

  constructor(
    readonly runner: Runner,
    readonly scheduler: Scheduler,
    private readonly options: StepLoopOptions,
  ) {
    this.#policy = new RepeatPolicy(options.submitBudgetMs);
  }

  /** There may be work again. */
  wake(): void {
    if (this.#working || this.#stopped) return;
    this.#working = true;
    // Requests that are made together start in one step.
    queueMicrotask(() => void this.#work());
  }

  /** Settles when every step that was scheduled is submitted: one may wait for its pipelines. */
  async submitted(): Promise<void> {
    // The loop waits for the same promise and goes on first; what became of it is the loop's business.
    await this.#compiling?.catch(() => undefined);
  }

  /** Submits nothing more, and ignores what is still in flight. */
  stop(): void {
    this.#stopped = true;
  }

  async #work(): Promise<void> {
    const { scheduler, options } = this;
    try {
      while (!this.#stopped) {
        const batch =
          this.#inFlight.length < options.maxStepsInFlight ? scheduler.next(this.#policy.repeat) : undefined;
        if (batch) {
          const rows = batch.segments.reduce((sum, { tokens }) => sum + tokens.length, 0);
          const ready = this.runner.ready?.(rows, featuresOf(batch));
          if (ready) await (this.#compiling = ready);
          this.#compiling = undefined;
          if (this.#stopped) return;
          this.#submit(batch);
          // After one that only opens slots nobody has rows before something settles.
          if (batch.segments.length > 0 || this.#inFlight.length === 0) continue;
        }
        const step = this.#inFlight.shift();
        if (!step) break;
        const result = await step.result;
        if (this.#stopped) return;
        scheduler.commit(step.batch, result);
        this.#report(step);
      }
      if (!this.#stopped) scheduler.checkIdle();
    } catch (error) {
      if (this.#stopped) return;
      this.stop();
      options.onFailure(error);
    } finally {
      this.#working = false;
    }
  }

  #submit(batch: ScheduledBatch): void {
    const { runner } = this;
    for (const { slot, init } of batch.slots) runner.openSlot(slot, init);
    for (const group of ['full', 'sliding'] as const) {
      if (batch.copies[group].length > 0) runner.copyPages(batch.copies[group], group);
    }
    if (batch.segments.length === 0) return;
    const submittedAt = performance.now();
    const result = runner.run(batch);
    // It is awaited in its turn; by then an earlier step may have failed and nobody asks any more.
    result.catch(() => undefined);
    this.#inFlight.push({ batch, result, submittedAt });
  }

  #report({ batch, submittedAt }: Step): void {
    const now = performance.now();
    const ms = now - Math.max(submittedAt, this.#lastSettledAt);
    this.#lastSettledAt = now;
    const { repeat = 1 } = batch;
    let prefillRows = 0;
    let decodeRows = 0;
    for (const { sequence, rows } of batch.entries) {
      if (rows.drafted) decodeRows += rows.count;
      else if (rows.repeated || (rows.count === 1 && rows.position >= sequence.promptLength)) decodeRows++;
      else prefillRows += rows.count;
    }
    if (prefillRows === 0 && !batch.entries.some(({ rows }) => rows.drafted)) this.#policy.observe(repeat, ms);
    const { pagesInUse, unusedPositions } = this.scheduler;
    const rows = prefillRows + decodeRows;
    // Not the very first ones, which may have waited for a driver.
    const counted = prefillRows === 0 && this.#decodeSteps++ % COUNTED_EVERY === 4;
    const once = counted ? this.runner.traffic?.(batch) : undefined;
    const bytes = once === undefined ? {} : { bytes: once * repeat };
    this.options.onStep({ rows, prefillRows, decodeRows, repeat, ms, ...bytes, pagesInUse, unusedPositions });
  }
}
