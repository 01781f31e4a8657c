import { InternalError } from '../errors';
import { type KvCopies, type KvPages, noCopies } from './kv_pages';
import type { Batch, Segment, SlotInit } from './runner';
import { type RowRange, type Sequence, samplesOf } from './sequence';

/** A batch with what must happen before it runs, in this order, and whose rows they are. */
export interface ScheduledBatch extends Batch {
  readonly slots: readonly { readonly slot: number; readonly init: SlotInit }[];
  readonly copies: KvCopies;
  /** Parallel to `segments`. */
  readonly entries: readonly { readonly sequence: Sequence; readonly rows: RowRange }[];
}

/** A batch while sequences are still added to it. */
export interface Draft {
  readonly segments: Segment[];
  readonly slots: ScheduledBatch['slots'][number][];
  readonly copies: KvCopies;
  readonly entries: ScheduledBatch['entries'][number][];
  readonly members: Set<Sequence>;
  rows: number;
  sampledRows: number;
  repeat: number;
}

export function emptyDraft(): Draft {
  return {
    segments: [],
    slots: [],
    copies: noCopies(),
    entries: [],
    members: new Set(),
    rows: 0,
    sampledRows: 0,
    repeat: 1,
  };
}

/** The sequences in the order in which they are asked for rows: who is guided right after who guides it. */
export function inOrderOfTurns(running: readonly Sequence[]): readonly Sequence[] {
  const guided = running.filter(({ guidance }) => guidance && running.includes(guidance.leader));
  if (guided.length === 0) return running;
  return running.flatMap((sequence) =>
    guided.includes(sequence) ? [] : [sequence, ...guided.filter(({ guidance }) => guidance?.leader === sequence)],
  );
}

/** Whether the rows may be in this step, as far as other sequences have to be in it too. */
export function hasLeader({ entries }: Draft, { guidance }: Sequence, { sample }: RowRange): boolean {
  if (!guidance || sample === 'none') return true;
  return entries.some(({ sequence, rows }) => sequence === guidance.leader && rows.sample !== 'none');
}

function guidanceOf({ guidance }: Sequence, { sample }: RowRange): Segment['guidance'] {
  if (!guidance || sample === 'none' || guidance.leader.state.kind !== 'running') return undefined;
  return { slot: guidance.leader.state.slot, scale: guidance.scale };
}

/** The rows, with as many of their guesses as there are free pages for: nobody loses pages for a guess, least of all who made it. */
export function affordable(rows: RowRange, { id }: Sequence, pages: KvPages): RowRange {
  if (!rows.drafted) return rows;
  const { position } = rows;
  let { count } = rows;
  while (count > 1 && !pages.fits([{ owner: id, from: position, to: position + count }])) count--;
  return count > 1 ? { ...rows, count } : { position, count: 1, sample: 'last' };
}

/** Adds the rows of a sequence to the step, and takes the pages that they write. Returns the sequence's slot. */
export function addRows(draft: Draft, pages: KvPages, sequence: Sequence, rows: RowRange): number {
  if (sequence.state.kind !== 'running') throw new InternalError(`sequence ${sequence.id} has no slot`);
  const { slot } = sequence.state;
  const end = rows.position + rows.count;
  pages.allocate({ owner: sequence.id, from: rows.position, to: end }, draft.copies);
  draft.segments.push({
    slot,
    tokens: sequence.tokensOf(rows),
    position: rows.position,
    ...pages.tables(sequence.id, end),
    sample: rows.sample,
    sampling: sequence.sampling,
    dryPenalties: sequence.dryPenalties(rows),
    proposals: sequence.proposalsOf(rows),
    masks: sequence.masksOf(rows),
    dola: rows.sample === 'none' ? undefined : sequence.dola,
    guidance: guidanceOf(sequence, rows),
    returnHidden: sequence.returnHidden,
    returnLogits: sequence.returnLogits && rows.sample !== 'none',
  });
  draft.entries.push({ sequence, rows });
  draft.members.add(sequence);
  draft.rows += rows.count;
  draft.sampledRows += samplesOf(rows);
  sequence.samplesInFlight += samplesOf(rows);
  sequence.computed = end;
  sequence.stepsInFlight++;
  return slot;
}

/** Runs a step of nothing but decode rows up to `maxRepeat` times: as often as all its sequences have use and pages for. */
export function repeatDraft(draft: Draft, pages: KvPages, maxRepeat: number): void {
  const { entries, segments, copies } = draft;
  if (entries.some(({ rows }) => rows.count > 1 || rows.sample !== 'last')) return;
  let more = Math.min(maxRepeat - 1, ...entries.map(({ sequence }) => sequence.stepsAhead));
  const ranges = () =>
    entries.map(({ sequence: { id, computed } }) => ({ owner: id, from: computed, to: computed + more }));
  while (more > 0 && !pages.fits(ranges())) more--;
  if (more <= 0) return;
  draft.repeat = 1 + more;
  entries.forEach(({ sequence, rows: { position } }, i) => {
    const end = position + draft.repeat;
    pages.allocate({ owner: sequence.id, from: position + 1, to: end }, copies);
    segments[i] = { ...segments[i], ...pages.tables(sequence.id, end) };
    entries[i] = { sequence, rows: { position, count: draft.repeat, sample: 'all', repeated: true } };
    sequence.computed = end;
    sequence.samplesInFlight += more;
  });
}
