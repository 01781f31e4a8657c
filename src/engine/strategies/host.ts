import type { GenerateRequest } from '../generation';
import type { Generation } from '../generation_output';
import type { RequestMetrics } from '../metrics';
import type { RunnerLimits } from '../runner';
import type { Sequence } from '../sequence';

/** What several answers to a prompt are asked for with. */
export interface ChoicesRequest extends Omit<GenerateRequest, 'onToken' | 'constraint'> {
  /** From `loadStrategy`; absent: every answer is sampled token by token. */
  readonly strategy?: StartStrategy;
}

/** A strategy that was asked for `count` answers. */
export interface StrategyRequest {
  readonly request: ChoicesRequest;
  readonly count: number;
  readonly limits: RunnerLimits;
  /** What each answer calls for its tokens. */
  readonly onToken?: (index: number) => GenerateRequest['onToken'];
}

export interface StartedStrategy {
  /** In order of worth. */
  readonly generations: readonly Generation[];
  readonly abort: () => void;
}

/**
 * Starts a strategy. Throws InvalidOptionError for options that do not go together, UnsupportedModelError for a model that cannot
 * do it.
 */
export type StartStrategy = (request: StrategyRequest, host: StrategyHost) => StartedStrategy;

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
