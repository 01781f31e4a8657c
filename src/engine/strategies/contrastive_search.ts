import type { GenerateRequest } from '../generation';
import { type Generation, GenerationOutput } from '../generation_output';
import { GREEDY, type Sample, type SamplingSettings } from '../runner';
import type { BranchGroup } from './branch';
import { Branches } from './branches';
import { HiddenStates } from './hidden_states';
import type { StrategyHost } from './host';

export interface ContrastiveSettings {
  /** Weight of the degeneration penalty, above 0, at most 1. */
  readonly penaltyAlpha: number;
  /** Candidates for each token: the model's likeliest. */
  readonly topK: number;
}

/**
 * Contrastive search for one request (Su et al. 2022, "A Contrastive Framework for Neural Text Generation"). Each candidate is a branch that is
 * computed with it; chosen is the one with the largest (1 - α) · p(candidate) - α · max cos(h, h'), h being its last layer's output and h'
 * that of each token before.
 */
export class ContrastiveSearch implements BranchGroup {
  readonly returnHidden = true;
  readonly sampling: SamplingSettings;
  readonly priority: number;
  readonly maxPositions: number;
  readonly #settings: ContrastiveSettings;
  readonly #maxUnread: number;
  readonly #branches: Branches;
  readonly #output: GenerationOutput;
  /** Of the prompt and the output. */
  readonly #context = new HiddenStates();
  readonly #reported: number;
  /** Parallel to the running branches: the tokens that they are computed with. None until the prompt is. */
  #candidates: readonly Sample[] = [];
  #ended = false;

  constructor(
    request: GenerateRequest,
    settings: ContrastiveSettings,
    host: StrategyHost,
    onToken?: GenerateRequest['onToken'],
  ) {
    const { promptTokens, stopTokens, sampling } = request;
    const maxTokens = Math.min(request.maxTokens, host.maxOutput);
    this.#settings = settings;
    this.#maxUnread = host.maxUnread;
    this.priority = request.priority ?? 0;
    // A token is computed before it is chosen, the last one too.
    this.maxPositions = promptTokens.length + maxTokens;
    this.#reported = Math.max(0, sampling.topLogprobs);
    this.sampling = { ...GREEDY, topLogprobs: Math.max(settings.topK, this.#reported) };
    this.#branches = new Branches(promptTokens, this, host, settings.topK);
    this.#output = new GenerationOutput({ promptTokens, stopTokens, onToken }, [...promptTokens], maxTokens, {
      onRead: host.onReady,
      onLeave: () => this.abort(),
      onTokenOut: host.onTokenOut,
      onFinish: host.onFinish,
      usage: () => ({ cachedTokens: this.#branches.first.cachedTokens ?? 0 }),
    });
    host.add(this.#branches.first);
  }

  get generation(): Generation {
    return this.#output.generation;
  }

  get paused(): boolean {
    return this.#output.unread >= this.#maxUnread;
  }

  /** What the prompt's tokens are compared with has to be computed, whoever had the prompt before. */
  get sharesPrefix(): boolean {
    return this.#candidates.length > 0;
  }

  started(): void {
    this.#output.start();
  }

  computed(position: number, hidden: readonly Float32Array[]): void {
    if (this.#candidates.length === 0) hidden.forEach((vector, i) => this.#context.set(position + i, vector));
  }

  arrived(): void {
    if (this.#ended || !this.#branches.settled) return;
    const { running } = this.#branches;
    const at = this.#candidates.length === 0 ? 0 : this.#choose();
    const chosen = running[at];
    const { top = [] } = chosen.result ?? {};
    if (this.#candidates.length > 0) {
      const vector = chosen.hidden.at(-1);
      if (vector) this.#context.set(this.#context.length, vector);
      if (this.#output.append(this.#candidates[at])) {
        this.#end();
        return;
      }
    }
    const reported = top.slice(0, this.#reported);
    this.#candidates = top.slice(0, this.#settings.topK).map(([token, logprob]) => ({ token, logprob, top: reported }));
    this.#branches.advance(this.#candidates.map(({ token }) => ({ parent: chosen, token })));
  }

  fail(error: unknown): void {
    if (this.#end()) this.#output.fail(error);
  }

  abort(): void {
    if (this.#end()) this.#output.finish({ finishReason: 'abort' });
  }

  /** Index of the best candidate; of equals the likelier one. */
  #choose(): number {
    const { penaltyAlpha } = this.#settings;
    const worths = this.#candidates.map(({ logprob }, i) => {
      const vector = this.#branches.running[i].hidden.at(-1);
      const penalty = vector ? this.#context.largestCosine(vector) : 0;
      return (1 - penaltyAlpha) * Math.exp(logprob) - penaltyAlpha * penalty;
    });
    return worths.indexOf(Math.max(...worths));
  }

  /** False when it had ended before. */
  #end(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    this.#branches.end();
    return true;
  }
}
