import { ContextLengthError, InternalError, InvalidOptionError } from '../errors';
import {
  addRows,
  affordable,
  type Draft,
  emptyDraft,
  hasLeader,
  inOrderOfTurns,
  repeatDraft,
  type ScheduledBatch,
} from './batch';
import { hasCopies, KvPages } from './kv_pages';
import { PageSharing } from './page_sharing';
import { PrefixCache } from './prefix_cache';
import type { PageStore, RunnerLimits, StepResult } from './runner';
import { PrefixStore } from './saved_prefix';
import { checkIdle, checkSequences, type SchedulerParts } from './scheduler_checks';
import { canYield, precedes, type RowRange, type Sequence, samplesOf } from './sequence';
import { SlotPool } from './slot_pool';
import type { StepBudget } from './step_budget';
import { type SwapOptions, SwapSpace } from './swap_space';

/** Rows up to which a step computes each of them bit for bit as it would alone. */
const EXACT_ROWS = 16;

export interface SchedulerOptions {
  /** Rows of one step, 1 … limits.maxRows (default): a smaller one keeps steps short while a long prompt comes in. */
  readonly rowBudget?: number;
  /** How many rows of prompts ride along with decode rows; absent: what fits. */
  readonly stepBudget?: Pick<StepBudget, 'promptRows'>;
  /** Default true. */
  readonly prefixCache?: boolean;
  /** Where sequences that lose their pages may keep them; absent: they are always computed again. */
  readonly swap?: SwapOptions & { readonly store: PageStore };
}

/**
 * Chooses the rows of each step, from any mix of sequences.
 *
 * Sequences are admitted in order of rank (arrival, and a head start for priority), with the pages of what others have computed
 * for the same tokens, as soon as there is a slot and pages for all tokens they have. Decode rows go first;
 * what is left of the row budget, and of the time for a step that somebody waits for, is filled with chunks of prompts. When pages run out the sequence of the last rank is preempted: it loses its pages
 * and computes its tokens again later, as far as they are not in the prefix cache. The first one is never preempted and fits alone, so there is always progress.
 */
export class Scheduler {
  readonly #pages: KvPages;
  readonly #slots: SlotPool;
  /** Sequences that lost their pages to others so far. */
  preemptions = 0;
  readonly #rowBudget: number;
  readonly #stepBudget: SchedulerOptions['stepBudget'];
  readonly #prefixes: PrefixCache | undefined;
  readonly #sharing: PageSharing;
  /** For conversations that are saved and loaded. */
  readonly store: PrefixStore;
  /** Pages of preempted sequences in host memory. */
  readonly swap: SwapSpace | undefined;
  /** In order of rank. */
  #waiting: Sequence[] = [];
  /** In order of turns: who has decoded goes to the end. */
  #running: Sequence[] = [];

  constructor(
    readonly limits: RunnerLimits,
    { rowBudget = limits.maxRows, stepBudget, prefixCache = true, swap }: SchedulerOptions = {},
  ) {
    if (!Number.isSafeInteger(rowBudget) || rowBudget < 1 || rowBudget > limits.maxRows) {
      throw new InvalidOptionError('rowBudget', `${rowBudget} is not an integer from 1 to ${limits.maxRows}`);
    }
    this.#rowBudget = rowBudget;
    this.#stepBudget = stepBudget;
    if (prefixCache && !limits.recurrent) this.#prefixes = new PrefixCache(limits.pageSize, limits.sliding?.window);
    this.#pages = new KvPages(limits, this.#prefixes);
    this.#sharing = new PageSharing(this.#pages, this.#prefixes, limits.recurrent);
    this.store = new PrefixStore(this.#pages, this.#prefixes);
    // The state of recurrent layers is in no page.
    if (swap && !limits.recurrent) this.swap = new SwapSpace(this.#pages, swap.store, swap);
    this.#slots = new SlotPool(limits.maxSlots);
  }

  get pagesInUse(): number {
    return this.#pages.pagesInUse;
  }

  /** Of layers that slide, where their pages are a pool of their own. */
  get slidingPagesInUse(): number {
    return this.#pages.slidingPagesInUse;
  }

  /** Rows that one step can have. */
  get maxRows(): number {
    return this.#rowBudget;
  }

  /** Positions of the pages in use that hold nothing: the rest of each sequence's last page. */
  get unusedPositions(): number {
    return this.#running.reduce((sum, { id, computed, tokens }) => {
      const used = Math.max(computed, tokens.length);
      return sum + Math.max(0, this.#pages.pagesOf(id) * this.limits.pageSize - used);
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
    this.swap?.drop(sequence.id);
    sequence.end();
  }

  /**
   * `child` has become `parent` and one token more, neither with a step in flight: it gives back what it had and shares what the parent has
   * computed. A child that is not there, or whose parent is not, takes over what it can when it is admitted.
   */
  branch(child: Sequence, parent: Sequence): void {
    // Its pages hold what its tokens no longer are.
    this.swap?.drop(child.id);
    if (child.state.kind === 'running') {
      if (this.#sharing.become(child, parent)) return;
      this.#leave(child, child.state.slot);
      child.recompute();
      this.#enqueue(child);
    }
    child.parent = parent;
  }

  /**
   * The next step, or undefined when no sequence can go on before something in flight settles or somebody reads. It is repeated up to
   * `maxRepeat` times when every sequence only decodes and nobody waits. One without segments only opens slots and copies pages.
   */
  next(maxRepeat = 1): ScheduledBatch | undefined {
    if (this.#gathers) return undefined;
    const draft = emptyDraft();
    this.#park();
    this.#admit(draft);
    let decodesLeft = this.#running.filter((sequence) => sequence.backlog === 1).length;
    // Also those whose next row waits for a sample in flight: the step after comes behind this one.
    const awaited = decodesLeft > 0 || this.#running.some(({ samplesInFlight }) => samplesInFlight > 0);
    const timed = awaited ? this.#stepBudget?.promptRows : undefined;
    let promptRows = timed ?? Number.POSITIVE_INFINITY;
    for (const sequence of inOrderOfTurns(this.#running)) {
      const left = this.#rowBudget - draft.rows;
      if (left === 0) break;
      const decodes = sequence.backlog === 1;
      if (decodes) decodesLeft--;
      else if (promptRows === 0) continue;
      // Prompts leave room for the decode rows behind them, but one whose turn it is gets on by a row at least.
      const wanted = sequence.nextRows(
        decodes ? left : Math.min(promptRows, Math.max(1, left - decodesLeft)),
        this.limits.maxSampledRows - draft.sampledRows,
        Math.max(1, EXACT_ROWS - draft.rows - decodesLeft),
      );
      const rows = wanted && affordable(wanted, sequence, this.#pages);
      if (!rows || !hasLeader(draft, sequence, rows) || !this.#makeRoom(sequence, rows, draft)) continue;
      this.#slots.beginStep(addRows(draft, this.#pages, sequence, rows));
      if (!decodes) promptRows -= rows.count;
    }
    this.#repeat(draft, Math.min(maxRepeat, this.limits.maxRepeat ?? 1));
    this.#running = [
      ...this.#running.filter((sequence) => !draft.members.has(sequence) || sequence.samplesInFlight === 0),
      ...this.#running.filter((sequence) => draft.members.has(sequence) && sequence.samplesInFlight > 0),
    ];
    // One that starts may have to wait for its drafts before it has rows: its slot and page copies cannot.
    return draft.segments.length > 0 || draft.slots.length > 0 ? draft : undefined;
  }

  /**
   * Everybody waits for samples, or may as well: those that have theirs go on together with the others. Else they would go on in groups for ever, a
   * step for each of them.
   */
  get #gathers(): boolean {
    return (
      this.#running.some((sequence) => sequence.awaitsSample) &&
      this.#running.every((sequence) => sequence.awaitsSample || sequence.gathers || sequence.paused)
    );
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
      if (sequence.computed < computed) this.#sharing.cutBack(sequence);
      this.#sharing.record(sequence);
      if (sequence.overflows) this.#shorten(sequence);
    });
  }

  /** Throws InternalError when a page or slot is lost or shared wrongly, or when sequences wait for nothing. */
  checkIntegrity(): void {
    checkSequences(this.#parts);
  }

  /** For when nothing is in flight and `next` found nothing: throws InternalError unless every sequence is paused, or one will wake the others. */
  checkIdle(): void {
    checkIdle(this.#parts);
  }

  get #parts(): SchedulerParts {
    return {
      pages: this.#pages,
      slots: this.#slots,
      store: this.store,
      swap: this.swap,
      waiting: this.#waiting,
      running: this.#running,
    };
  }

  /** Starts waiting sequences in order of rank, until one does not fit. */
  #admit(draft: Draft): void {
    for (const sequence of this.#waiting.slice()) {
      if (sequence.paused) continue;
      // A preempted one comes back when the samples that it still had in flight have become tokens.
      if (sequence.stepsInFlight > 0) return;
      const swapped = this.swap?.positionsOf(sequence) ?? 0;
      if (swapped === 'reading') return;
      this.#sharing.takeOver(sequence);
      const restored = swapped > sequence.computed ? swapped : 0;
      if (restored > 0) {
        // It is written at once, and what is still to be copied may lie there.
        if (hasCopies(draft.copies)) return this.#sharing.giveBack(sequence);
        this.#sharing.giveBack(sequence);
      }
      while (!this.#fits(sequence, restored)) {
        const idle = this.#running.find((other) => other.stepsInFlight === 0 && canYield(other, sequence));
        if (!idle) return this.#sharing.giveBack(sequence);
        this.#preempt(idle, draft);
      }
      if (restored > 0) {
        this.#pages.place(sequence.id, restored);
        this.swap?.in(sequence);
        sequence.computed = restored;
      }
      this.swap?.drop(sequence.id);
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
      this.#pages.reserve({ owner: sequence.id, from: computed, to: tokens.length }, draft.copies);
      this.#running.push(sequence);
    }
  }

  /** The sequence has outgrown the context: what it keeps is computed again, at other positions. */
  #shorten(sequence: Sequence): void {
    const { id, stepsInFlight, state } = sequence;
    if (stepsInFlight > 0) throw new InternalError(`sequence ${id} outgrows the context with steps in flight`);
    if (state.kind === 'running') this.#yield(sequence);
    this.swap?.drop(id);
    sequence.shorten();
  }

  /** True when there is a slot and pages for all known tokens; beside others also for some more, or it would be preempted soon. */
  #fits(sequence: Sequence, restored: number): boolean {
    const { id, computed, tokens } = sequence;
    const spare = this.#running.length === 0 ? 0 : this.limits.pageSize;
    const end = Math.max(tokens.length, Math.min(tokens.length + spare, sequence.maxPositions));
    if (!this.#slots.available) return false;
    return restored > 0
      ? this.#pages.canPlace(restored, end)
      : this.#pages.canReserve({ owner: id, from: computed, to: end });
  }

  /** Finds pages for the rows, from others if need be. False when the sequence has to wait or was preempted itself. */
  #makeRoom(sequence: Sequence, { position, count }: RowRange, draft: Draft): boolean {
    if (sequence.finished || sequence.state.kind !== 'running') return false;
    const { id } = sequence;
    if (this.#pages.leaves(id, position)) {
      // What it leaves behind may be wanted by those who begin alike.
      this.#sharing.record(sequence);
      this.#pages.leave(id, position);
    }
    while (!this.#pages.fits([{ owner: id, from: position, to: position + count }])) {
      const others = this.#running.filter((other) => other !== sequence && !draft.members.has(other));
      const last = others.reduce((a, b) => (a && precedes(b, a) ? a : b), undefined as Sequence | undefined);
      // Of its own group one that has its result waits for this one, whatever their order.
      const idle = others.find((other) => canYield(other, sequence));
      const victim = idle ?? last;
      if (victim && (idle || precedes(sequence, victim))) {
        this.#preempt(victim, draft);
        continue;
      }
      // Those behind it that are in this step already have their turn; the next step begins with this one.
      if (![...draft.members].some((other) => precedes(sequence, other))) this.#preempt(sequence, draft);
      return false;
    }
    return true;
  }

  /** Turns a step in which everybody decodes into as many runs of it as all sequences have use and pages for. */
  #repeat(draft: Draft, maxRepeat: number): void {
    if (maxRepeat === 1 || this.#waiting.some((sequence) => !sequence.paused)) return;
    if (
      this.#running.some(
        (sequence) =>
          !draft.members.has(sequence) && (sequence.awaitsSample || sequence.nextRows(Number.POSITIVE_INFINITY, 1)),
      )
    )
      return;
    repeatDraft(draft, this.#pages, maxRepeat);
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

  #preempt(sequence: Sequence, draft: Draft): void {
    this.preemptions++;
    const { state } = sequence;
    // One that was admitted for this step has nothing yet: its page copies have not run.
    const opened = state.kind === 'running' ? draft.slots.findIndex(({ slot }) => slot === state.slot) : -1;
    if (opened >= 0) draft.slots.splice(opened, 1);
    else if (sequence.sharesPrefix) this.swap?.out(sequence);
    this.#yield(sequence);
  }

  #yield(sequence: Sequence): void {
    if (sequence.state.kind !== 'running') throw new InternalError(`sequence ${sequence.id} does not run`);
    this.#evict(sequence, sequence.state.slot);
    sequence.recompute();
    this.#enqueue(sequence);
  }

  #evict(sequence: Sequence, slot: number): void {
    this.#sharing.record(sequence, true);
    this.#pages.free(sequence.id);
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
