import { ContextLengthError, InternalError, InvalidOptionError } from '../errors';
import { type Draft, emptyDraft, type ScheduledBatch } from './batch';
import { BlockManager } from './block_manager';
import { PrefixCache } from './prefix_cache';
import type { RunnerLimits, StepResult } from './runner';
import { PrefixStore } from './saved_prefix';
import { precedes, type RowRange, type Sequence, samplesOf } from './sequence';
import { SlotPool } from './slot_pool';

/**
 * Whether `other`, which runs, gives way to `sequence`, which waits: its reader does not read, or it waits for its group and the other is of
 * that group or before it (or the group might wait for one that is behind the other).
 */
function canYield(other: Sequence, sequence: Sequence): boolean {
  if (other.parks) return true;
  return other.paused && other.group !== undefined && (other.group === sequence.group || precedes(sequence, other));
}

/** Rows up to which a step computes each of them bit for bit as it would alone. */
const EXACT_ROWS = 16;

export interface SchedulerOptions {
  /** Rows of one step, 1 … limits.maxRows (default): a smaller one keeps steps short while a long prompt comes in. */
  readonly rowBudget?: number;
  /** Default true. */
  readonly prefixCache?: boolean;
}

/**
 * Chooses the rows of each step, from any mix of sequences.
 *
 * Sequences are admitted in order of rank (arrival, and a head start for priority), with the pages of what others have computed
 * for the same tokens, as soon as there is a slot and pages for all tokens they have. Decode rows go first;
 * what is left of the row budget is filled with chunks of prompts. When pages run out the sequence of the last rank is preempted: it loses its pages
 * and computes its tokens again later, as far as they are not in the prefix cache. The first one is never preempted and fits alone, so there is always progress.
 */
export class Scheduler {
  readonly #blocks: BlockManager;
  readonly #slots: SlotPool;
  /** Sequences that lost their pages to others so far. */
  preemptions = 0;
  readonly #rowBudget: number;
  readonly #prefixes: PrefixCache | undefined;
  /** For conversations that are saved and loaded. */
  readonly store: PrefixStore;
  /** In order of rank. */
  #waiting: Sequence[] = [];
  /** In order of turns: who has decoded goes to the end. */
  #running: Sequence[] = [];

  constructor(
    readonly limits: RunnerLimits,
    { rowBudget = limits.maxRows, prefixCache = true }: SchedulerOptions = {},
  ) {
    if (!Number.isSafeInteger(rowBudget) || rowBudget < 1 || rowBudget > limits.maxRows) {
      throw new InvalidOptionError('rowBudget', `${rowBudget} is not an integer from 1 to ${limits.maxRows}`);
    }
    this.#rowBudget = rowBudget;
    if (prefixCache && !limits.recurrent) this.#prefixes = new PrefixCache(limits.pageSize);
    this.#blocks = new BlockManager(limits.numPages, limits.pageSize, this.#prefixes);
    this.store = new PrefixStore(this.#blocks, this.#prefixes);
    this.#slots = new SlotPool(limits.maxSlots);
  }

  get pagesInUse(): number {
    return this.#blocks.pagesInUse;
  }

  /** Rows that one step can have. */
  get maxRows(): number {
    return this.#rowBudget;
  }

  /** Positions of the pages in use that hold nothing: the rest of each sequence's last page. */
  get unusedPositions(): number {
    return this.#running.reduce((sum, { id, computed, tokens }) => {
      const used = Math.max(computed, tokens.length);
      return sum + Math.max(0, this.#blocks.pagesOf(id) * this.limits.pageSize - used);
    }, 0);
  }

  get running(): number {
    return this.#running.length;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Positions that one sequence can have. */
  get contextLength(): number {
    return Math.min(this.limits.contextLength, this.limits.numPages * this.limits.pageSize);
  }

  /** Queues a sequence. Throws ContextLengthError when it could never run. */
  add(sequence: Sequence): void {
    if (sequence.maxPositions > this.contextLength) {
      throw new ContextLengthError(sequence.maxPositions, this.contextLength);
    }
    this.#enqueue(sequence);
  }

  /** Forgets a sequence and frees its pages at once; results that are still in flight are dropped. */
  remove(sequence: Sequence): void {
    if (sequence.finished) return;
    if (sequence.state.kind === 'running') this.#evict(sequence, sequence.state.slot);
    this.#waiting = this.#waiting.filter((other) => other !== sequence);
    sequence.end();
  }

  /**
   * `child` has become `parent` and one token more, neither with a step in flight: it gives back what it had and shares what the parent has
   * computed. A child that is not there, or whose parent is not, takes over what it can when it is admitted.
   */
  branch(child: Sequence, parent: Sequence): void {
    if (child.state.kind === 'running') {
      // Its pages hold what its tokens no longer are.
      this.#prefixes?.leave(child.id);
      this.#blocks.free(child.id);
      child.computed = 0;
      if (parent.state.kind === 'running') {
        child.computed = Math.min(parent.computed, child.tokens.length - 1);
        this.#blocks.fork(parent.id, child.id, child.computed);
        return;
      }
      this.#leave(child, child.state.slot);
      child.recompute();
      this.#enqueue(child);
    }
    child.parent = parent;
  }

  /**
   * The next step, or undefined when no sequence can go on before something in flight settles or somebody reads. It is repeated up to
   * `maxRepeat` times when every sequence only decodes and nobody waits.
   */
  next(maxRepeat = 1): ScheduledBatch | undefined {
    const draft = emptyDraft();
    this.#park();
    this.#admit(draft);
    let decodesLeft = this.#running.filter((sequence) => sequence.backlog === 1).length;
    for (const sequence of this.#running) {
      const left = this.#rowBudget - draft.rows;
      if (left === 0) break;
      const decodes = sequence.backlog === 1;
      if (decodes) decodesLeft--;
      // Prompts leave room for the decode rows behind them, but one whose turn it is gets on by a row at least.
      const rows = sequence.nextRows(
        decodes ? left : Math.max(1, left - decodesLeft),
        this.limits.maxSampledRows - draft.sampledRows,
        Math.max(1, EXACT_ROWS - draft.rows - decodesLeft),
      );
      if (rows && this.#makeRoom(sequence, rows, draft)) this.#schedule(sequence, rows, draft);
    }
    this.#repeat(draft, Math.min(maxRepeat, this.limits.maxRepeat ?? 1));
    this.#running = [
      ...this.#running.filter((sequence) => !draft.members.has(sequence) || sequence.samplesInFlight === 0),
      ...this.#running.filter((sequence) => draft.members.has(sequence) && sequence.samplesInFlight > 0),
    ];
    return draft.segments.length > 0 ? draft : undefined;
  }

  /** Hands the results of the oldest step in flight to its sequences; those that end free their pages. */
  commit(batch: ScheduledBatch, result: StepResult): void {
    if (result.segments.length !== batch.segments.length) {
      throw new InternalError(`a step of ${batch.segments.length} segments returned ${result.segments.length}`);
    }
    batch.entries.forEach(({ sequence, rows }, i) => {
      this.#slots.endStep(batch.segments[i].slot);
      sequence.stepsInFlight--;
      const expected = samplesOf(rows);
      sequence.samplesInFlight -= expected;
      if (sequence.finished) return;
      const { samples, logits = [] } = result.segments[i];
      // An encoder has vectors in place of samples.
      const found = sequence.returnLogits ? logits.length : samples.length;
      if (found !== expected) {
        throw new InternalError(
          `${rows.count} rows at position ${rows.position}: ${found} results, expected ${expected}`,
        );
      }
      // Whoever is told of a token may end the sequence from there.
      const { computed } = sequence;
      const ended = sequence.accept(rows, result.segments[i]);
      if (sequence.finished) return;
      if (ended) return this.remove(sequence);
      if (sequence.computed < computed) this.#cutBack(sequence);
      this.#remember(sequence);
    });
  }

  /** Throws InternalError when a page or slot is lost or shared wrongly, or when sequences wait for nothing. */
  checkIntegrity(): void {
    this.#blocks.checkIntegrity();
    this.#slots.checkIntegrity();
    for (const sequence of this.#running) {
      if (sequence.state.kind !== 'running')
        throw new InternalError(`sequence ${sequence.id} runs as ${sequence.state.kind}`);
      this.#blocks.table(sequence.id, sequence.computed);
    }
    for (const sequence of this.#waiting) {
      if (this.#blocks.has(sequence.id)) throw new InternalError(`sequence ${sequence.id} waits with pages`);
    }
    const owners = this.#running.length + this.#waiting.length + this.store.pinned;
    if (owners === 0 && this.pagesInUse > 0) {
      throw new InternalError(`${this.pagesInUse} pages are in use by nobody`);
    }
  }

  /** For when nothing is in flight and `next` found nothing: throws InternalError unless every sequence is paused, or one will wake the others. */
  checkIdle(): void {
    const all = [...this.#running, ...this.#waiting];
    const stuck = all.find((sequence) => !sequence.paused);
    // Pages that are being read for a saved conversation come free when that is done.
    if (stuck && this.store.pinned === 0 && !all.some((sequence) => sequence.expectsWake)) {
      const { id, computed, tokens, state } = stuck;
      throw new InternalError(
        `sequence ${id} is stuck: ${state.kind}, ${computed} of ${tokens.length} tokens computed, ${this.#blocks.freePages} pages free`,
      );
    }
    this.checkIntegrity();
  }

  /** Starts waiting sequences in order of rank, until one does not fit. */
  #admit(draft: Draft): void {
    for (const sequence of this.#waiting.slice()) {
      if (sequence.paused) continue;
      // A preempted one comes back when the samples that it still had in flight have become tokens.
      if (sequence.stepsInFlight > 0) return;
      this.#share(sequence);
      while (!this.#fits(sequence)) {
        const idle = this.#running.find((other) => other.stepsInFlight === 0 && canYield(other, sequence));
        if (!idle) {
          if (this.#blocks.has(sequence.id)) this.#blocks.free(sequence.id);
          sequence.computed = 0;
          return;
        }
        this.#preempt(idle);
      }
      this.#waiting.splice(this.#waiting.indexOf(sequence), 1);
      const slot = this.#slots.take();
      sequence.state = { kind: 'running', slot };
      sequence.parent = undefined;
      sequence.cachedTokens ??= sequence.computed;
      sequence.start();
      const { sampling, tokens, promptLength, computed, mu } = sequence;
      draft.slots.push({
        slot,
        init: { sampling, promptTokens: tokens.slice(0, promptLength), outputTokens: tokens.slice(promptLength), mu },
      });
      draft.copies.push(...this.#blocks.allocate(sequence.id, computed, tokens.length));
      this.#running.push(sequence);
    }
  }

  /** The sequence has taken positions back (rejected drafts): frees the pages past what is left. */
  #cutBack(sequence: Sequence): void {
    const { id, computed, stepsInFlight, tokens } = sequence;
    if (this.limits.recurrent) throw new InternalError(`sequence ${id} of a recurrent model takes positions back`);
    if (stepsInFlight > 0)
      throw new InternalError(`sequence ${id} takes positions back that a step in flight goes on from`);
    const keep = Math.max(computed, tokens.length);
    if (this.#blocks.pagesOf(id) > this.#blocks.pagesFor(keep)) this.#blocks.truncate(id, keep);
  }

  /** Takes over what the parent or any other sequence has computed; the last token stays to be computed, for its logits. */
  #share(sequence: Sequence): void {
    const { parent, tokens, id } = sequence;
    if (this.limits.recurrent || !sequence.sharesPrefix) return;
    const most = tokens.length - 1;
    if (parent?.state.kind === 'running') {
      sequence.computed = Math.min(parent.computed, most);
      this.#blocks.fork(parent.id, id, sequence.computed);
      return;
    }
    const match = this.#prefixes?.match(tokens.slice(0, most));
    if (!match || match.positions === 0) return;
    sequence.computed = match.positions;
    this.#blocks.adopt(id, match.pages);
  }

  /** Puts what a sequence has computed into the prefix cache: full pages, and when it goes also the last one. */
  #remember(sequence: Sequence, leaves = false): void {
    if (!this.#prefixes || !sequence.sharesPrefix || !this.#blocks.has(sequence.id)) return;
    // What is computed but not known yet, or follows a stop token, is nobody's.
    const positions = Math.min(sequence.computed, sequence.tokens.length);
    this.#prefixes.record(sequence.id, sequence.tokens, positions, this.#blocks.table(sequence.id, positions), leaves);
  }

  /** True when there is a slot and pages for all known tokens; beside others also for some more, or it would be preempted soon. */
  #fits(sequence: Sequence): boolean {
    const { id, computed, tokens } = sequence;
    const spare = this.#running.length === 0 ? 0 : this.limits.pageSize;
    const end = Math.max(tokens.length, Math.min(tokens.length + spare, sequence.maxPositions));
    return this.#slots.available && this.#blocks.missing(id, computed, end) <= this.#blocks.freePages;
  }

  /** Finds pages for the rows, from others if need be. False when the sequence has to wait or was preempted itself. */
  #makeRoom(sequence: Sequence, { position, count }: RowRange, draft: Draft): boolean {
    if (sequence.finished || sequence.state.kind !== 'running') return false;
    while (this.#blocks.missing(sequence.id, position, position + count) > this.#blocks.freePages) {
      const others = this.#running.filter((other) => other !== sequence && !draft.members.has(other));
      const last = others.reduce((a, b) => (a && precedes(b, a) ? a : b), undefined as Sequence | undefined);
      const victim = others.find((other) => other.parks) ?? last;
      if (victim && (victim.parks || precedes(sequence, victim))) {
        this.#preempt(victim);
        continue;
      }
      // Those behind it that are in this step already have their turn; the next step begins with this one.
      if (![...draft.members].some((other) => precedes(sequence, other))) this.#preempt(sequence);
      return false;
    }
    return true;
  }

  #schedule(sequence: Sequence, rows: RowRange, draft: Draft): void {
    if (sequence.state.kind !== 'running') throw new InternalError(`sequence ${sequence.id} has no slot`);
    const { slot } = sequence.state;
    const end = rows.position + rows.count;
    draft.copies.push(...this.#blocks.allocate(sequence.id, rows.position, end));
    draft.segments.push({
      slot,
      tokens: sequence.tokensOf(rows),
      position: rows.position,
      pages: this.#blocks.table(sequence.id, end),
      sample: rows.sample,
      sampling: sequence.sampling,
      dryPenalties: sequence.dryPenalties(rows),
      masks: sequence.masksOf(rows),
      returnLogits: sequence.returnLogits && rows.sample !== 'none',
    });
    draft.entries.push({ sequence, rows });
    draft.members.add(sequence);
    draft.rows += rows.count;
    draft.sampledRows += samplesOf(rows);
    sequence.samplesInFlight += samplesOf(rows);
    sequence.computed = end;
    sequence.stepsInFlight++;
    this.#slots.beginStep(slot);
  }

  /** Turns a step in which everybody decodes into as many runs of it as all sequences have use and pages for. */
  #repeat(draft: Draft, maxRepeat: number): void {
    const { entries, segments, copies } = draft;
    if (maxRepeat === 1 || this.#waiting.some((sequence) => !sequence.paused)) return;
    if (
      this.#running.some(
        (sequence) =>
          !draft.members.has(sequence) && (sequence.awaitsSample || sequence.nextRows(Number.POSITIVE_INFINITY, 1)),
      )
    )
      return;
    if (entries.some(({ rows }) => rows.count > 1 || rows.sample !== 'last')) return;
    let more = Math.min(maxRepeat - 1, ...entries.map(({ sequence }) => sequence.stepsAhead));
    const missing = (): number =>
      entries.reduce(
        (sum, { sequence: { id, computed } }) => sum + this.#blocks.missing(id, computed, computed + more),
        0,
      );
    while (more > 0 && missing() > this.#blocks.freePages) more--;
    if (more <= 0) return;
    draft.repeat = 1 + more;
    entries.forEach(({ sequence, rows: { position } }, i) => {
      const end = position + draft.repeat;
      copies.push(...this.#blocks.allocate(sequence.id, position + 1, end));
      segments[i] = { ...segments[i], pages: this.#blocks.table(sequence.id, end) };
      entries[i] = { sequence, rows: { position, count: draft.repeat, sample: 'all', repeated: true } };
      sequence.computed = end;
      sequence.samplesInFlight += more;
    });
  }

  /**
   * Frees the pages of those whose reader does not read. Their content stays in the prefix cache while there is room; where there is none,
   * they keep their pages until somebody needs them.
   */
  #park(): void {
    if (!this.#prefixes) return;
    for (const sequence of this.#running.slice()) {
      if (!sequence.parks || sequence.stepsInFlight > 0 || !sequence.sharesPrefix) continue;
      sequence.park();
      this.#yield(sequence);
    }
  }

  #preempt(sequence: Sequence): void {
    this.preemptions++;
    this.#yield(sequence);
  }

  #yield(sequence: Sequence): void {
    if (sequence.state.kind !== 'running') throw new InternalError(`sequence ${sequence.id} does not run`);
    this.#evict(sequence, sequence.state.slot);
    sequence.recompute();
    this.#enqueue(sequence);
  }

  #evict(sequence: Sequence, slot: number): void {
    this.#remember(sequence, true);
    this.#blocks.free(sequence.id);
    this.#leave(sequence, slot);
  }

  #leave(sequence: Sequence, slot: number): void {
    this.#slots.release(slot);
    this.#running = this.#running.filter((other) => other !== sequence);
  }

  #enqueue(sequence: Sequence): void {
    const after = this.#waiting.findIndex((other) => precedes(sequence, other));
    this.#waiting.splice(after < 0 ? this.#waiting.length : after, 0, sequence);
  }
}
