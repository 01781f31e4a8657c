import type { PageCopy } from './block_manager';
import type { Batch, Segment, SlotInit } from './runner';
import type { RowRange, Sequence } from './sequence';

/** A batch with what must happen before it runs, in this order, and whose rows they are. */
export interface ScheduledBatch extends Batch {
  readonly slots: readonly { readonly slot: number; readonly init: SlotInit }[];
  readonly copies: readonly PageCopy[];
  /** Parallel to `segments`. */
  readonly entries: readonly { readonly sequence: Sequence; readonly rows: RowRange }[];
}

/** A batch while sequences are still added to it. */
export interface Draft {
  readonly segments: Segment[];
  readonly slots: ScheduledBatch['slots'][number][];
  readonly copies: PageCopy[];
  readonly entries: ScheduledBatch['entries'][number][];
  readonly members: Set<Sequence>;
  rows: number;
  sampledRows: number;
  repeat: number;
}

export function emptyDraft(): Draft {
  return { segments: [], slots: [], copies: [], entries: [], members: new Set(), rows: 0, sampledRows: 0, repeat: 1 };
}
