import type { GenerateRequest } from '../generation';
import { type Generation, GenerationOutput } from '../generation_output';
import { GREEDY, MAX_TOP_LOGPROBS, type Sample, type SamplingSettings } from '../runner';
import { BeamSelection, type BeamSettings, type Hypothesis, topNeeded } from './beam_selection';
import type { BranchGroup } from './branch';
import { Branches } from './branches';
import type { StrategyHost } from './host';

/**
 * Beam search for one request: a group of branches whose best tokens are compared after every step. Its hypotheses come when the search is
 * over, all tokens of each at once.
 */
export class BeamSearch implements BranchGroup {
  readonly sampling: SamplingSettings;
  readonly priority: number;
  readonly maxPositions: number;
  readonly paused = false;
  readonly returnHidden = false;
  readonly sharesPrefix = true;
  readonly #branches: Branches;
  readonly #selection: BeamSelection;
  readonly #outputs: readonly GenerationOutput[];
  /** Parallel to the running branches: what their outputs are worth and were made of. */
  #beams: readonly { readonly score: number; readonly samples: readonly Sample[] }[] = [{ score: 0, samples: [] }];
  /** The tokens of completed hypotheses. */
  readonly #samples = new Map<Hypothesis, readonly Sample[]>();
  readonly #reported: number;
  readonly #left = new Set<number>();
  #ended = false;

  /** `count`: of the best hypotheses to give; `onToken`: what each calls. */
  constructor(
    request: GenerateRequest,
    settings: BeamSettings,
    count: number,
    host: StrategyHost,
    onToken?: (index: number) => GenerateRequest['onToken'],
  ) {
    const { promptTokens, stopTokens, sampling } = request;
    const maxTokens = Math.min(request.maxTokens, host.maxOutput);
    this.priority = request.priority ?? 0;
    this.maxPositions = promptTokens.length + maxTokens - 1;
    this.#reported = Math.max(0, sampling.topLogprobs);
    const needed = Math.max(topNeeded(settings.numBeams, stopTokens), this.#reported);
    this.sampling = { ...GREEDY, topLogprobs: Math.min(MAX_TOP_LOGPROBS, needed) };
    this.#selection = new BeamSelection({ ...settings, maxTokens, stopTokens });
    this.#branches = new Branches(promptTokens, this, host, settings.numBeams);
    this.#outputs = Array.from(
      { length: count },
      (_, index) =>
        new GenerationOutput({ promptTokens, stopTokens, onToken: onToken?.(index) }, [...promptTokens], maxTokens, {
          onRead: () => {},
          onLeave: () => this.#leave(index),
          onTokenOut: host.onTokenOut,
          // One request, however many hypotheses.
          onFinish: (metrics) => (index === 0 ? host.onFinish(metrics) : undefined),
          usage: () => ({ cachedTokens: this.#branches.first.cachedTokens ?? 0 }),
        }),
    );
    host.add(this.#branches.first);
  }

  /** Best first. */
  get generations(): readonly Generation[] {
    return this.#outputs.map(({ generation }) => generation);
  }

  started(): void {
    for (const output of this.#outputs) output.start();
  }

  arrived(): void {
    if (this.#ended || !this.#branches.settled) return;
    for (const output of this.#outputs) output.prefilled();
    const { running } = this.#branches;
    const tops = running.map(({ result }) => result?.top ?? []);
    const before = this.#beams;
    const { beams, completed } = this.#selection.advance(before.map(({ score }, i) => ({ score, top: tops[i] })));
    const withToken = (parent: number, token: number, logprob: number): readonly Sample[] => [
      ...before[parent].samples,
      { token, logprob, top: tops[parent].slice(0, this.#reported) },
    ];
    for (const hypothesis of completed) {
      const { parent, token, logprob } = hypothesis.last;
      this.#samples.set(hypothesis, withToken(parent, token, logprob));
    }
    if (beams.length === 0) return this.#finish();
    this.#beams = beams.map(({ parent, token, logprob, score }) => ({
      score,
      samples: withToken(parent, token, logprob),
    }));
    this.#branches.advance(beams.map(({ parent, token }) => ({ parent: running[parent], token })));
  }

  fail(error: unknown): void {
    this.#end(() => {
      for (const output of this.#outputs) output.fail(error);
    });
  }

  abort(): void {
    this.#end(() => {
      for (const output of this.#outputs) output.finish({ finishReason: 'abort' });
    });
  }

  #finish(): void {
    const { hypotheses } = this.#selection;
    this.#end(() => {
      this.#outputs.forEach((output, i) => {
        const samples = hypotheses[i] && this.#samples.get(hypotheses[i]);
        // A vocabulary too small for so many.
        if (!samples) return output.finish({ finishReason: 'length' });
        samples.some((sample) => output.append(sample));
      });
    });
  }

  /** The reader of a hypothesis is gone: the search goes on for the others. */
  #leave(index: number): void {
    this.#left.add(index);
    if (this.#left.size === this.#outputs.length) this.abort();
  }

  #end(settle: () => void): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#branches.end();
    settle();
  }
}
