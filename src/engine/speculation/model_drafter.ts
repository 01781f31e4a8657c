import { InvalidOptionError } from '../../errors';
import { dryPenalties } from '../dry';
import { KvPages, noCopies } from '../kv_pages';
import { type Batch, PENDING_TOKEN, type Runner, type Segment, type StepResult } from '../runner';
import { usesDry, usesPenalties } from '../sampler_chain';
import type { Drafter, DraftRequest } from './drafter';

/** What the draft model has in its cache of a sequence. */
interface DraftState {
  readonly slot: number;
  tokens: number[];
}

/**
 * A smaller model with the same vocabulary (Leviathan et al. 2023). It samples as the target does, with the same seed: draws depend on seed and
 * position alone, so that where the two distributions agree their samples mostly do. Its steps are submitted together, and nothing
 * is read back before the last of them; but DRY needs each token before the next.
 */
export class ModelDrafter implements Drafter {
  readonly name = 'draft';
  readonly #states = new Map<number, DraftState>();
  readonly #freeSlots: number[];
  readonly #kv: KvPages;

  /** The runner stays its owner's. Throws InvalidOptionError when its vocabulary is not the target's. */
  constructor(
    private readonly runner: Runner,
    vocabSize: number,
  ) {
    const { limits } = runner;
    if (limits.vocabSize !== vocabSize) {
      throw new InvalidOptionError(
        'draft',
        `the draft model has a vocabulary of ${limits.vocabSize} tokens, the model one of ${vocabSize}`,
      );
    }
    if (limits.recurrent || limits.embeddingSize !== undefined) {
      throw new InvalidOptionError('draft', 'a model that cannot take tokens back cannot draft');
    }
    this.#freeSlots = Array.from({ length: limits.maxSlots }, (_, slot) => slot);
    this.#kv = new KvPages(limits);
  }

  async draft(request: DraftRequest): Promise<readonly number[]> {
    const { runner } = this;
    const { sequence, tokens } = request;
    const { sampling, promptLength, dryBreakers = new Map() } = request.choosing;
    const { limits } = runner;
    const count = Math.min(request.count, limits.contextLength - tokens.length);
    const state = this.#states.get(sequence) ?? this.#begin(request);
    if (!state || count < 1) return [];
    // Goes on after what both have in common; the last token is always computed, for what follows it.
    let common = 0;
    const most = Math.min(state.tokens.length, tokens.length - 1);
    while (common < most && state.tokens[common] === tokens[common]) common++;
    // What lies further back may have left the window: then from the beginning.
    if (!this.#kv.canContinue(sequence, common)) {
      this.#kv.free(sequence);
      this.#allocate(sequence, 0, 0);
      common = 0;
    }
    this.#kv.truncate(sequence, common);
    if (!this.#kv.canCompute({ owner: sequence, from: common, to: tokens.length + count - 1 })) {
      state.tokens = tokens.slice(0, common);
      return [];
    }
    const pages = (from: number, to: number) => {
      this.#allocate(sequence, from, to);
      return this.#kv.tables(sequence, to);
    };
    // What it sampled the last time was not all accepted.
    if (usesPenalties(sampling)) {
      const [promptTokens, outputTokens] = [tokens.slice(0, promptLength), tokens.slice(promptLength)];
      runner.openSlot(state.slot, { sampling, promptTokens, outputTokens });
    }
    const base = { slot: state.slot, sampling } as const;
    const penalties = (drafts: readonly number[]): Segment['dryPenalties'] =>
      usesDry(sampling) ? [dryPenalties([...tokens, ...drafts], sampling, dryBreakers)] : undefined;
    const steps: Promise<StepResult>[] = [];
    const run = (batch: Batch): void => {
      const step = runner.run(batch);
      step.catch(() => undefined);
      steps.push(step);
    };
    for (let position = common; position < tokens.length; ) {
      const end = Math.min(tokens.length, position + limits.maxRows);
      const ready = runner.ready?.(end - position);
      if (ready) await ready;
      this.#kv.leave(sequence, position);
      const sample = end === tokens.length ? 'last' : 'none';
      const segment = {
        ...base,
        position,
        tokens: tokens.slice(position, end),
        ...pages(position, end),
        sample,
        dryPenalties: sample === 'last' ? penalties([]) : undefined,
      } as const;
      run({ segments: [segment] });
      position = end;
    }
    const sampledFrom = steps.length - 1;
    const samples = async (): Promise<number[]> => (await Promise.all(steps.slice(sampledFrom))).flatMap(tokensOf);
    for (let drafted = 1; drafted < count; ) {
      const repeat = usesDry(sampling) ? 1 : Math.min(limits.maxRepeat ?? 1, count - drafted);
      const position = tokens.length + drafted - 1;
      const tables = pages(position, position + repeat);
      const dry = usesDry(sampling) ? penalties(await samples()) : undefined;
      const segment = { ...base, position, tokens: [PENDING_TOKEN], ...tables, sample: 'last' } as const;
      run({ segments: [{ ...segment, dryPenalties: dry }], repeat });
      drafted += repeat;
    }
    const drafts = await samples();
    // The last draft is nowhere in the cache.
    state.tokens = [...tokens, ...drafts.slice(0, -1)];
    return drafts;
  }

  end(sequence: number): void {
    const state = this.#states.get(sequence);
    if (!state) return;
    this.#states.delete(sequence);
    this.#kv.free(sequence);
    this.#freeSlots.push(state.slot);
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

function tokensOf({ segments: [{ samples }] }: StepResult): number[] {
  return samples.map(({ token }) => token);
}
