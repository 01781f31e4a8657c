import type { GenerateRequest } from '../generation';
import { type Generation, GenerationOutput } from '../generation_output';
import { GREEDY, type Sample, type SamplingSettings, type SegmentResult } from '../runner';
import { type RowRange, Sequence } from '../sequence';
import type { StrategyHost } from './host';

export interface GuidanceSettings {
  /** How far to go from the other prompt's prediction: 1 is this prompt's own, above 1 beyond it. */
  readonly scale: number;
  /** The prompt to be guided away from; empty: the last token of the request's. */
  readonly negativeTokens: readonly number[];
}

/** One prompt of two that are continued with the same tokens, whose last rows go into one step. */
class PairMember extends Sequence {
  readonly returnLogits = false;
  readonly sharesPrefix = true;
  override readonly priority: number;
  /** It gives way to others, but not to its partner: both have to be there. */
  override readonly group: object = this;
  /** What was chosen after the last token. */
  result: Sample | undefined;
  partner: PairMember | undefined;

  constructor(
    id: number,
    promptTokens: readonly number[],
    private readonly pair: GuidedPair,
    readonly sampling: SamplingSettings,
    override readonly guidance: Sequence['guidance'],
  ) {
    super(id, promptTokens);
    this.priority = pair.priority;
  }

  get maxPositions(): number {
    return this.promptLength + this.pair.maxOutput - 1;
  }

  protected override get place(): number {
    return Math.min(this.id, this.partner?.id ?? this.id);
  }

  override get parks(): boolean {
    return this.pair.paused;
  }

  get paused(): boolean {
    if (this.result !== undefined || this.pair.paused) return true;
    // Nothing left and nothing in flight: its row comes once more (nextRows).
    const waits = this.#left <= 1 && this.samplesInFlight === 0;
    return this.state.kind === 'running' && waits && this.partner?.state.kind !== 'running';
  }

  get #left(): number {
    return this.tokens.length - this.computed;
  }

  /** Only the row that is to be sampled is missing. */
  get isReady(): boolean {
    return this.state.kind === 'running' && this.result === undefined && this.#left === 1;
  }

  nextRows(maxRows: number, maxSampledRows: number): RowRange | undefined {
    // Its row was in a step for which the partner's came too late: once more.
    if (this.result === undefined && this.samplesInFlight === 0 && this.#left <= 0)
      this.computed = this.tokens.length - 1;
    if (this.paused || this.#left <= 0) return undefined;
    const position = this.computed;
    if (this.#left > 1) {
      return { position, count: Math.min(maxRows, this.#left - 1), sample: 'none' };
    }
    // Who leads needs a row for the other one too; who follows is asked right after it (see Sequence.guidance).
    const leads = this.guidance === undefined;
    if (leads && (!this.partner?.isReady || maxRows < 2)) return undefined;
    return maxSampledRows < (leads ? 2 : 1) ? undefined : { position, count: 1, sample: 'last' };
  }

  start(): void {
    this.pair.started();
  }

  accept(_rows: RowRange, { samples }: SegmentResult): boolean {
    const [sample] = samples;
    // Who leads may have been alone in its step; who follows never is.
    if (sample && this.partner && this.guidance) {
      this.result = sample;
      this.partner.result = sample;
      this.pair.arrived(sample);
    }
    return false;
  }

  fail(error: unknown): void {
    this.pair.fail(error);
  }

  /** Goes on with one more token. */
  continueWith(token: number): void {
    this.tokens.push(token);
    this.result = undefined;
  }
}

/**
 * Classifier-free guidance (Sanchez et al. 2023, "Stay on topic with classifier-free guidance"): what follows the prompt is chosen by
 * log p' + scale · (log p - log p'), where p' is what the model says of the same output after another prompt.
 */
export class GuidedPair {
  readonly priority: number;
  readonly maxOutput: number;
  readonly #host: StrategyHost;
  readonly #output: GenerationOutput;
  readonly #members: readonly [away: PairMember, own: PairMember];
  #ended = false;

  /** `maxOutput`: tokens that both prompts together leave room for. */
  constructor(
    request: GenerateRequest,
    { scale, negativeTokens }: GuidanceSettings,
    maxOutput: number,
    host: StrategyHost,
    onToken?: GenerateRequest['onToken'],
  ) {
    const { promptTokens, stopTokens, sampling } = request;
    this.#host = host;
    this.priority = request.priority ?? 0;
    this.maxOutput = maxOutput;
    this.#output = new GenerationOutput({ promptTokens, stopTokens, onToken }, [...promptTokens], maxOutput, {
      onRead: host.onReady,
      onLeave: () => this.abort(),
      onTokenOut: host.onTokenOut,
      onFinish: host.onFinish,
      usage: () => ({ cachedTokens: own.cachedTokens ?? 0 }),
    });
    const [first, second] = host.takeIds(2);
    const other = negativeTokens.length > 0 ? negativeTokens : promptTokens.slice(-1);
    const away = new PairMember(first, other, this, GREEDY, undefined);
    const own = new PairMember(second, promptTokens, this, sampling, { leader: away, scale });
    away.partner = own;
    own.partner = away;
    this.#members = [away, own];
    for (const member of this.#members) host.add(member);
  }

  get generation(): Generation {
    return this.#output.generation;
  }

  get paused(): boolean {
    return this.#output.unread >= this.#host.maxUnread;
  }

  started(): void {
    this.#output.start();
  }

  /** Both rows have been computed, and this was chosen. */
  arrived(sample: Sample): void {
    if (this.#ended) return;
    if (this.#output.append(sample)) {
      this.#end();
      return;
    }
    for (const member of this.#members) member.continueWith(sample.token);
  }

  fail(error: unknown): void {
    if (this.#end()) this.#output.fail(error);
  }

  abort(): void {
    if (this.#end()) this.#output.finish({ finishReason: 'abort' });
  }

  /** False when it had ended before. */
  #end(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    for (const member of this.#members) this.#host.end(member);
    return true;
  }
}
