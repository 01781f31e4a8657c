import type { RequestMetrics } from '../metrics';
import type { Sequence } from '../sequence';

/** What a group of branches needs from the engine. */
export interface StrategyHost {
  /** Numbers for sequences, one after another. */
  readonly takeIds: (count: number) => readonly number[];
  /** Output tokens that the context has room for. */
  readonly maxOutput: number;
  /** Unread tokens at which the group pauses. */
  readonly maxUnread: number;
  /** Queues a branch. */
  readonly add: (sequence: Sequence) => void;
  /** See Scheduler.branch. */
  readonly branch: (child: Sequence, parent: Sequence) => void;
  /** Forgets a branch. */
  readonly end: (sequence: Sequence) => void;
  /** The group can go on. */
  readonly onReady: () => void;
  readonly onTokenOut: (gapMs: number | undefined) => void;
  readonly onFinish: (metrics: RequestMetrics) => void;
}
