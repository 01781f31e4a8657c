import { type DryBreakers, dryPenalties } from './dry';
import { type Generation, GenerationOutput } from './generation_output';
import type { RequestMetrics } from './metrics';
import type { Sample, SamplingSettings, Segment, SegmentResult } from './runner';
import { usesDry } from './sampler_chain';
import { type RowRange, Sequence } from './sequence';
import type { Speculator } from './speculation/speculator';
import type { SpeculationSettings } from './speculation/speculators';

export interface ForkRequest {
  /** Output tokens, at least 1; the context may end the output before. */
  readonly maxTokens: number;
  readonly sampling: SamplingSettings;
  /** Tokens that end the output; they are not part of it. */
  readonly stopTokens: ReadonlySet<number>;
  readonly signal?: AbortSignal;
  /** An integer, default 0: higher is served sooner. Of equals, and against those that have waited long, arrival decides. */
  readonly priority?: number;
  /** Called for each output token, in order, before it can be read. 'stop' makes it the last one. */
  readonly onToken?: (sample: Sample) => 'continue' | 'stop';
  /**
   * Tokens come one by one rather than several per submit: for requests that `onToken` is likely to stop (stop strings), where what
   * was computed ahead would be thrown away.
   */
  readonly oneByOne?: boolean;
  /** The tokens of `sampling.drySequenceBreakers`; without them nothing breaks a repetition. */
  readonly dryBreakers?: DryBreakers;
  /** Guessing tokens ahead, where the engine has something to guess with; the output is the same with and without. */
  readonly speculation?: SpeculationSettings;
}

export interface GenerateRequest extends ForkRequest {
  /** At least one token. */
  readonly promptTokens: readonly number[];
}

/** What a sequence needs from the engine. */
export interface GenerationHost {
  /** Unread tokens at which it pauses. */
  readonly maxUnread: number;
  /** Output tokens that the context has room for. */
  readonly maxOutput: number;
  /** The sequence can go on. */
  readonly onReady: () => void;
  readonly speculator: Speculator | undefined;
  /** Another sequence with the same prompt, which computes it for both. */
  readonly promptFrom?: GeneratingSequence;
  /** A token was handed out, `gapMs` after the one before it. */
  readonly onTokenOut: (gapMs: number | undefined) => void;
  readonly onFinish: (metrics: RequestMetrics) => void;
  /** The reader left before the end. */
  readonly onLeave: (sequence: GeneratingSequence) => void;
}

export class GeneratingSequence extends Sequence {
  readonly returnLogits = false;
  override readonly sharesPrefix = true;
  override readonly priority: number;
  readonly #maxOutput: number;
  readonly #output: GenerationOutput;
  #parked = false;

  constructor(
    id: number,
    private readonly request: GenerateRequest,
    private readonly host: GenerationHost,
    parent?: Sequence,
  ) {
    super(id, request.promptTokens, parent);
    this.priority = request.priority ?? 0;
    this.#maxOutput = Math.min(request.maxTokens, host.maxOutput);
    const { onReady, onLeave, onTokenOut, onFinish, speculator } = host;
    this.#output = new GenerationOutput(request, this.tokens, this.#maxOutput, {
      onRead: onReady,
      onLeave: () => onLeave(this),
      onTokenOut,
      onFinish,
      usage: () => ({ cachedTokens: this.cachedTokens ?? 0, ...(speculator && { speculative: speculator.usage }) }),
    });
  }

  get generation(): Generation {
    return this.#output.generation;
  }

  get sampling(): SamplingSettings {
    return this.request.sampling;
  }

  /** The last output token is never computed. */
  get maxPositions(): number {
    return this.promptLength + this.#maxOutput - 1;
  }

  get paused(): boolean {
    if (!this.#output.started && this.host.promptFrom?.computingPrompt) return true;
    const ahead = this.#output.unread + this.samplesInFlight;
    // Once parked it comes back for more than one token.
    return this.#parked ? ahead > this.host.maxUnread / 2 : ahead >= this.host.maxUnread;
  }

  /** Others with the same prompt do well to wait. */
  get computingPrompt(): boolean {
    return !this.finished && this.tokens.length === this.promptLength && this.computed < this.promptLength - 1;
  }

  override get expectsWake(): boolean {
    return this.host.speculator?.waiting ?? false;
  }

  override get stepsAhead(): number {
    if (this.request.oneByOne || this.#waitsForTokens || this.tokens.length === this.promptLength || this.#speculates)
      return 0;
    const room = this.host.maxUnread - this.#output.unread - this.samplesInFlight;
    return Math.max(0, Math.min(this.#outputLeft, room));
  }

  /** Output tokens that are neither there nor in flight. */
  get #outputLeft(): number {
    return this.#maxOutput - (this.tokens.length - this.promptLength + this.samplesInFlight);
  }

  /** What may be chosen depends on the tokens before, and is found out here. */
  get #waitsForTokens(): boolean {
    return usesDry(this.sampling);
  }

  /** The next tokens are guessed, for which the last one has to be known. */
  get #speculates(): boolean {
    const { speculator } = this.host;
    return speculator !== undefined && this.tokens.length > this.promptLength && speculator.on(this.tokens.length);
  }

  nextRows(maxRows: number, maxSampledRows: number, maxExactRows = maxRows): RowRange | undefined {
    const { backlog, computed: position } = this;
    if (this.paused || this.#outputLeft <= 0) return undefined;
    if (this.#speculates && backlog === 1) {
      if (this.stepsInFlight > 0) return undefined;
      const most = Math.min(maxRows, maxSampledRows, maxExactRows, this.#outputLeft) - 1;
      const drafts = this.host.speculator?.drafts(this.tokens, most, this.sampling).length ?? 0;
      if (this.host.speculator?.waiting) return undefined;
      if (drafts > 0) return { position, count: 1 + drafts, sample: 'all', drafted: true };
    }
    // Its newest token is still on the GPU.
    if (this.#waitsForTokens && position >= this.tokens.length) return undefined;
    const whole = backlog <= maxRows && maxSampledRows > 0;
    const count = whole ? backlog : Math.min(maxRows, backlog - 1);
    return count > 0 ? { position, count, sample: whole ? 'last' : 'none' } : undefined;
  }

  override park(): void {
    this.#parked = true;
  }

  start(): void {
    this.#parked = false;
    this.#output.start();
  }

  override tokensOf(rows: RowRange): number[] {
    if (!rows.drafted) return super.tokensOf(rows);
    return [...this.tokens.slice(rows.position), ...(this.host.speculator?.current ?? [])].slice(0, rows.count);
  }

  override dryPenalties({ sample }: RowRange): Segment['dryPenalties'] {
    if (sample === 'none' || !usesDry(this.sampling)) return undefined;
    return dryPenalties(this.tokens, this.sampling, this.request.dryBreakers ?? new Map());
  }

  accept(rows: RowRange, { samples }: SegmentResult): boolean {
    const { speculator } = this.host;
    if (rows.drafted && speculator) return this.#verify(rows, samples, speculator);
    if (samples.length > 0 && this.tokens.length > this.promptLength) speculator?.settle(0, 0);
    for (const sample of samples) {
      this.mu = sample.mu;
      if (this.#output.append(sample)) return true;
    }
    return false;
  }

  /** Each sample stands as long as the drafts before it were right; the first that differs from its draft ends them. */
  #verify({ position, count }: RowRange, samples: readonly Sample[], speculator: Speculator): boolean {
    const drafts = speculator.current.slice(0, count - 1);
    let accepted = 0;
    while (accepted < drafts.length && samples[accepted].token === drafts[accepted]) accepted++;
    // Before the last token ends the request: its usage counts this step.
    speculator.settle(drafts.length, accepted);
    // The rows behind these hold what was not chosen; whoever is told of a token may end the request from there.
    this.computed = Math.min(this.computed, position + 1 + accepted);
    return samples.slice(0, accepted + 1).some((sample) => this.#output.append(sample));
  }

  override end(): void {
    super.end();
    this.host.speculator?.end();
  }

  fail(error: unknown): void {
    this.#output.fail(error);
  }

  abort(): void {
    this.#output.finish({ finishReason: 'abort' });
  }
}
