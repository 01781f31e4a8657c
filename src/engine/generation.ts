import { InvalidOptionError } from '../errors';
import { MAX_CHOICES, seedOfChoice } from './choices';
import { ConstrainedOutput, type TokenConstraint } from './constraint';
import type { ContextOverflow, OverflowSettings, OverflowUsage } from './context_overflow';
import type { DolaLayers } from './dola';
import { type DryBreakers, dryPenalties } from './dry';
import { type Generation, GenerationOutput } from './generation_output';
import type { RequestMetrics } from './metrics';
import { noNumbers } from './no_numbers';
import type { Sample, SamplingSettings, Segment, SegmentResult } from './runner';
import { isMemoryless, usesDry } from './sampler_chain';
import { type RowRange, Sequence } from './sequence';
import type { Choosing } from './speculation/drafter';
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
  /**
   * What the output must be like: every token is chosen among what may follow. It is the request's own and follows its tokens from the first;
   * disposed of when the request ends. The sequence waits for each of its samples.
   */
  readonly constraint?: TokenConstraint;
  /** Contrasts the last layer's prediction with an early one's (Chuang et al. 2024); the sampler chooses from the contrast. */
  readonly dola?: DolaLayers;
  /** Guessing tokens ahead, where the engine has something to guess with; the output, or its distribution, is the same with and without. */
  readonly speculation?: SpeculationSettings;
  /**
   * Prompt and output may be longer than the context: its middle is dropped. Absent: such a prompt is refused, and the output ends with
   * the context. After each time that the context was full, samples are drawn with another seed.
   */
  readonly contextOverflow?: OverflowSettings;
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
  /** For a request that may go on beyond the context. */
  readonly overflow?: ContextOverflow;
  /** The sequence can go on. */
  readonly onReady: () => void;
  readonly speculator: Speculator | undefined;
  /** Layers to contrast (Segment.dola). */
  readonly dola?: readonly number[];
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
  override readonly dola: readonly number[] | undefined;
  readonly #maxOutput: number;
  readonly #output: GenerationOutput;
  readonly #constraint: ConstrainedOutput | undefined;
  #parked = false;
  #sampling: SamplingSettings;
  #shifts = 0;
  readonly #promptShifts: number;

  constructor(
    id: number,
    private readonly request: GenerateRequest,
    private readonly host: GenerationHost,
    parent?: Sequence,
  ) {
    super(id, request.promptTokens, parent);
    this.priority = request.priority ?? 0;
    this.dola = host.dola;
    this.#sampling = request.sampling;
    this.#promptShifts = host.overflow?.shorten(this.tokens) ?? 0;
    this.promptLength = this.tokens.length;
    this.#maxOutput = Math.min(request.maxTokens, host.maxOutput);
    if (request.constraint) {
      this.#constraint = new ConstrainedOutput(request.constraint, isMemoryless(request.sampling));
    }
    const { onReady, onLeave, onTokenOut, onFinish, speculator } = host;
    this.#output = new GenerationOutput(request, this.tokens, this.#maxOutput, {
      onRead: onReady,
      onLeave: () => onLeave(this),
      onTokenOut,
      onFinish,
      usage: () => ({
        cachedTokens: this.cachedTokens ?? 0,
        ...(speculator && { speculative: speculator.usage }),
        ...(host.overflow && { overflow: this.#overflowUsage(host.overflow) }),
      }),
    });
  }

  get generation(): Generation {
    return this.#output.generation;
  }

  get sampling(): SamplingSettings {
    return this.#sampling;
  }

  /** The last output token is never computed. */
  get maxPositions(): number {
    return Math.min(this.promptLength + this.#maxOutput - 1, this.#contextLength);
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

  override get awaitsSample(): boolean {
    return this.#waitsForTokens && this.samplesInFlight > 0 && !this.paused;
  }

  override get gathers(): boolean {
    return this.#waitsForTokens && this.tokens.length > this.promptLength;
  }

  override get stepsAhead(): number {
    if (this.request.oneByOne || this.#waitsForTokens || this.tokens.length === this.promptLength || this.#speculates)
      return 0;
    const room = this.host.maxUnread - this.#output.unread - this.samplesInFlight;
    return Math.max(0, Math.min(this.#outputLeft, room, this.#contextLength - this.computed));
  }

  /** Output tokens that are neither there nor in flight. */
  get #outputLeft(): number {
    return this.#maxOutput - (this.#output.length + this.samplesInFlight);
  }

  /** Positions after which the text is shortened. */
  get #contextLength(): number {
    return this.host.overflow?.contextLength ?? Number.POSITIVE_INFINITY;
  }

  override get overflows(): boolean {
    return this.tokens.length > this.#contextLength;
  }

  override shorten(): void {
    const { overflow, speculator } = this.host;
    if (!overflow) return;
    const length = this.tokens.length;
    const shifts = overflow.shorten(this.tokens);
    const dropped = length - this.tokens.length;
    this.promptLength -= Math.min(dropped, Math.max(0, this.promptLength - overflow.sinks));
    this.#shifts += shifts;
    // Positions come again, and with them the draws of a seed.
    const { seed } = this.request.sampling;
    this.#sampling = { ...this.request.sampling, seed: seedOfChoice(seed, MAX_CHOICES + this.#shifts) };
    speculator?.shortened(dropped);
  }

  /** What the model is given for the next token. */
  seenTokens(): number[] {
    const tokens = this.tokens.slice();
    this.host.overflow?.shorten(tokens);
    return tokens;
  }

  #overflowUsage({ stride }: ContextOverflow): OverflowUsage {
    const shifts = this.#promptShifts + this.#shifts;
    return { shifts, droppedTokens: shifts * stride, droppedPromptTokens: this.#promptShifts * stride };
  }

  get #choosing(): Choosing {
    const { dryBreakers, speculation } = this.request;
    // At temperature 0, and where a guess may be forbidden, the probabilities that it was drawn with say nothing.
    const proposes = speculation?.acceptance === 'rejection' && this.sampling.temperature > 0 && !this.#constraint;
    return { promptLength: this.promptLength, sampling: this.#sampling, dryBreakers, proposes };
  }

  /** What may be chosen depends on the tokens before, and is found out here. */
  get #waitsForTokens(): boolean {
    return this.#constraint !== undefined || usesDry(this.sampling);
  }

  /** The next tokens are guessed, for which the last one has to be known. */
  get #speculates(): boolean {
    const { speculator } = this.host;
    return speculator !== undefined && this.tokens.length > this.promptLength && speculator.on(this.tokens.length);
  }

  nextRows(maxRows: number, maxSampledRows: number, maxExactRows = maxRows): RowRange | undefined {
    const { backlog, computed: position } = this;
    // Where the context ends the text is shortened when its last sample is there.
    if (this.paused || this.#outputLeft <= 0 || position >= this.#contextLength) return undefined;
    if (this.#speculates && backlog === 1) {
      if (this.stepsInFlight > 0) return undefined;
      const rows = Math.min(maxRows, maxSampledRows, maxExactRows, this.#contextLength - position);
      const most = Math.min(rows, this.#outputLeft) - 1;
      const drafts = this.host.speculator?.drafts(this.tokens, most, this.#choosing) ?? [];
      if (this.host.speculator?.waiting) return undefined;
      const count = this.#constraint ? this.#constraint.admit(drafts, this.request.stopTokens) : drafts.length;
      if (count > 0) return { position, count: 1 + count, sample: 'all', drafted: true };
      if (drafts.length > 0) this.host.speculator?.refused(this.tokens.length);
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
    return [...this.tokens.slice(rows.position), ...(this.host.speculator?.current.tokens ?? [])].slice(0, rows.count);
  }

  override dryPenalties(rows: RowRange): Segment['dryPenalties'] {
    if (rows.sample === 'none' || !usesDry(this.sampling)) return undefined;
    const { dryBreakers = new Map() } = this.request;
    const drafts = rows.drafted ? this.tokensOf(rows).slice(1) : [];
    return [[], ...drafts].map((_, i) =>
      dryPenalties([...this.tokens, ...drafts.slice(0, i)], this.sampling, dryBreakers),
    );
  }

  override proposalsOf(rows: RowRange): Segment['proposals'] {
    return rows.drafted ? this.host.speculator?.current.proposals?.slice(0, rows.count - 1) : undefined;
  }

  override masksOf(rows: RowRange): Segment['masks'] {
    return this.#constraint?.masks(rows);
  }

  accept(rows: RowRange, { samples }: SegmentResult): boolean {
    const { speculator } = this.host;
    if (rows.drafted && speculator) return this.#verify(rows, samples, speculator);
    for (const sample of samples) {
      // A step for each token, several of which may come of one submit; the step of the first one was the prompt's.
      if (this.tokens.length > this.promptLength) speculator?.settle(0, 0);
      this.mu = sample.mu;
      if (this.#append(sample)) return true;
    }
    return samples.length > 0 && this.#goAhead();
  }

  /** Each sample stands as long as the drafts before it were accepted; the first that took the place of its draft ends them. */
  #verify({ position, count }: RowRange, samples: readonly Sample[], speculator: Speculator): boolean {
    const drafted = count - 1;
    let accepted = 0;
    while (accepted < drafted && samples[accepted].accepted) accepted++;
    // Before the last token ends the request: its usage counts this step.
    speculator.settle(drafted, accepted);
    // The rows behind these hold what was not chosen; whoever is told of a token may end the request from there.
    this.computed = Math.min(this.computed, position + 1 + accepted);
    return samples.slice(0, accepted + 1).some((sample) => this.#append(sample)) || this.#goAhead();
  }

  override end(): void {
    super.end();
    this.host.speculator?.end();
    this.#constraint?.dispose();
  }

  /** True when the token ends the request. */
  #append(sample: Sample): boolean {
    const constraint = this.#constraint;
    if (!constraint) {
      if (!sample.noChance) return this.#output.append(sample);
      this.fail(noNumbers('no token has a probability: the logits are no numbers, or every token is banned'));
      return true;
    }
    if (!constraint.allows(sample.token)) {
      const reason =
        'the model gives none of the tokens that may follow a chance: they are banned, or its logits are no numbers';
      this.fail(new InvalidOptionError('response_format', reason));
      return true;
    }
    if (this.request.stopTokens.has(sample.token)) return this.#output.append(sample);
    constraint.accept(sample.token);
    const { kind } = constraint.next;
    if (this.#output.append(sample, kind === 'end')) return true;
    if (kind !== 'dead end') return false;
    this.fail(
      new InvalidOptionError('response_format', 'the vocabulary of this model cannot spell what has to follow'),
    );
    return true;
  }

  /** Writes down what the constraint leaves no choice about, without asking the model. True when that ends the request. */
  #goAhead(): boolean {
    const { topLogprobs } = this.sampling;
    return (this.#constraint?.forced ?? []).some((token) =>
      this.#append({ token, logprob: topLogprobs < 0 ? Number.NaN : 0, top: topLogprobs > 0 ? [[token, 0]] : [] }),
    );
  }

  fail(error: unknown): void {
    this.#output.fail(error);
  }

  abort(): void {
    this.#output.finish({ finishReason: 'abort' });
  }
}
