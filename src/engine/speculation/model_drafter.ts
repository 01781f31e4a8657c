import { InvalidOptionError } from '../../errors';
import { dryPenalties } from '../dry';
import { KvPages, noCopies } from '../kv_pages';
import { PENDING_TOKEN, type Runner, type Sample, type StepResult } from '../runner';
import { usesDry, usesPenalties } from '../sampler_chain';
import { featuresOf, type StepFeature } from '../step_features';
import { type Drafter, type DraftRequest, type Drafts, NO_DRAFTS } from './drafter';

/** What the draft model has in its cache of a sequence. */
interface DraftState {
  readonly slot: number;
  tokens: number[];
}

/**
 * A smaller model with the same vocabulary (Leviathan et al. 2023). It samples as the target does, with the same seed: draws depend on seed and
 * position alone, so that where the two distributions agree their samples mostly do. Where rejection sampling verifies, it draws by other
 * numbers, from its 20 likeliest tokens, and says which these were. Its steps are submitted together, and nothing
 * is read back before the last of them; but DRY needs each token before the next.
 */
export class ModelDrafter implements Drafter {
  readonly name = 'draft';
  readonly #states = new Map<number, DraftState>();
  #freeSlots: number[];
  #kv: KvPages;

  /** The runner stays its owner's. Throws InvalidOptionError when its vocabulary is not the target's. */
  constructor(
    private runner: Runner,
    private readonly vocabSize: number,
  ) {
    checkRunner(runner, vocabSize);
    this.#freeSlots = slotsOf(runner);
    this.#kv = new KvPages(runner.limits);
  }

  /** Goes on with another runner, whose cache is empty: the one before is gone. Throws like the constructor. */
  replaceRunner(runner: Runner): void {
    checkRunner(runner, this.vocabSize);
    this.runner = runner;
    // Drafts that are being made see that their state is no more.
    this.#states.clear();
    this.#freeSlots = slotsOf(runner);
    this.#kv = new KvPages(runner.limits);
  }

  async draft(request: DraftRequest): Promise<Drafts> {
    const { runner } = this;
    const { sequence, tokens } = request;
    const { sampling, promptLength, dryBreakers = new Map(), proposes = false } = request.choosing;
    const { limits } = runner;
    const count = Math.min(request.count, limits.contextLength - tokens.length);
    const state = this.#states.get(sequence) ?? this.#begin(request);
    if (!state || count < 1) return NO_DRAFTS;
    // Goes on after what both have in common; the last token is always computed, for what follows it.
    let common = 0;
    const most = Math.min(state.tokens.length, tokens.length - 1);
    while (common < most && state.tokens[common] === tokens[common]) common++;
    // What lies further back may have left the window: then from the beginning.
    const restarts = !this.#kv.canContinue(sequence, common);
    if (restarts) common = 0;
    const base = { slot: state.slot, sampling: { ...sampling, topLogprobs: -1 }, proposes } as const;
    // Before anything is taken: from here to where samples are awaited nobody gets in between.
    await this.#compiled(tokens.length - common, featuresOf({ segments: [base] }));
    if (this.#states.get(sequence) !== state) return NO_DRAFTS;
    if (restarts) {
      this.#kv.free(sequence);
      this.#allocate(sequence, 0, 0);
    }
    this.#kv.truncate(sequence, common);
    const end = tokens.length + count - 1;
    if (!this.#kv.canCompute({ owner: sequence, from: common, to: end })) {
      state.tokens = tokens.slice(0, common);
      return NO_DRAFTS;
    }
    // What it sampled the last time was not all accepted.
    if (usesPenalties(sampling)) {
      const [promptTokens, outputTokens] = [tokens.slice(0, promptLength), tokens.slice(promptLength)];
      runner.openSlot(state.slot, { sampling, promptTokens, outputTokens });
    }
    const dry = usesDry(sampling);
    const steps: Promise<StepResult>[] = [];
    const run = (
      position: number,
      rows: readonly number[],
      sample: 'none' | 'last',
      drafts: readonly number[],
    ): number => {
      const known = position + rows.length;
      // The last row is repeated: each time with what it sampled before.
      const repeat = sample === 'none' || dry ? 1 : Math.min(limits.maxRepeat ?? 1, end + 1 - known);
      const to = known + repeat - 1;
      this.#allocate(sequence, position, to);
      const penalties =
        dry && sample === 'last' ? [dryPenalties([...tokens, ...drafts], sampling, dryBreakers)] : undefined;
      const tables = this.#kv.tables(sequence, to);
      const segment = { ...base, position, tokens: rows, ...tables, sample, dryPenalties: penalties };
      const step = runner.run({ segments: [segment], repeat });
      step.catch(() => undefined);
      if (sample === 'last') steps.push(step);
      return to;
    };
    let at = common;
    while (at < tokens.length) {
      const rows = tokens.slice(at, at + limits.maxRows);
      this.#kv.leave(sequence, at);
      at = run(at, rows, at + rows.length === tokens.length ? 'last' : 'none', []);
    }
    const samples = async (): Promise<Sample[]> =>
      (await Promise.all(steps)).flatMap(({ segments: [{ samples }] }) => samples);
    while (at < end) {
      const drafts = dry ? (await samples()).map(({ token }) => token) : [];
      if (dry && !this.#goesOn(sequence, state, at)) break;
      at = run(at, [PENDING_TOKEN], 'last', drafts);
    }
    const drawn = await samples();
    if (this.#states.get(sequence) !== state) return NO_DRAFTS;
    // The last draft is nowhere in the cache.
    state.tokens = [...tokens, ...drawn.slice(0, -1).map(({ token }) => token)];
    return draftsOf(drawn, proposes);
  }

  end(sequence: number): void {
    const state = this.#states.get(sequence);
    if (!state) return;
    this.#states.delete(sequence);
    this.#kv.free(sequence);
    this.#freeSlots.push(state.slot);
  }

  /** Settles when what steps of so many rows in all, and of one, need is compiled. */
  async #compiled(rows: number, features: readonly StepFeature[]): Promise<void> {
    const { runner } = this;
    const { maxRows } = runner.limits;
    const sizes = new Set([Math.min(rows, maxRows), rows % maxRows, 1]);
    await Promise.all(Array.from(sizes).flatMap((size) => (size > 0 && runner.ready?.(size, features)) || []));
  }

  /** Whether the position after what was awaited can be computed: the sequence may have ended, and others may have taken the pages. */
  #goesOn(sequence: number, state: DraftState, position: number): boolean {
    if (this.#states.get(sequence) !== state) return false;
    return this.#kv.canCompute({ owner: sequence, from: position, to: position + 1 });
  }

  /** Pages are shared with nobody, so nothing is ever copied. */
  #allocate(owner: number, from: number, to: number): void {
    this.#kv.allocate({ owner, from, to }, noCopies());
  }

  /** Undefined when all slots are taken: the sequence does without drafts for now. */
  #begin({ sequence, choosing: { sampling } }: DraftRequest): DraftState | undefined {
    const slot = this.#freeSlots.pop();
    if (slot === undefined) return undefined;
    this.runner.openSlot(slot, { sampling, promptTokens: [], outputTokens: [] });
    this.#allocate(sequence, 0, 0);
    const state = { slot, tokens: [] };
    this.#states.set(sequence, state);
    return state;
  }
}

function slotsOf({ limits }: Runner): number[] {
  return Array.from({ length: limits.maxSlots }, (_, slot) => slot);
}

function checkRunner({ limits }: Runner, vocabSize: number): void {
  if (limits.vocabSize !== vocabSize) {
    throw new InvalidOptionError(
      'draft',
      `the draft model has a vocabulary of ${limits.vocabSize} tokens, the model one of ${vocabSize}`,
    );
  }
  if (limits.recurrent || limits.embeddingSize !== undefined) {
    throw new InvalidOptionError('draft', 'a model that cannot take tokens back cannot draft');
  }
}

function draftsOf(drawn: readonly Sample[], proposes: boolean): Drafts {
  if (!proposes) return { tokens: drawn.map(({ token }) => token) };
  // A model whose logits are no numbers draws from nothing.
  const broken = drawn.findIndex(({ token, top }) => !top.some(([candidate]) => candidate === token));
  const kept = broken < 0 ? drawn : drawn.slice(0, broken);
  return { tokens: kept.map(({ token }) => token), proposals: kept.map(({ top }) => top) };
}
