/** A submit of several decode steps should take no longer: text keeps flowing, and a new request waits no longer than that. */
const DEFAULT_BUDGET_MS = 30;
/** What is computed behind the end of a request is thrown away. */
const MOST = 8;
/** Weight of the newest measurement: smooths out what else the machine does. */
const NEWEST = 0.25;

/**
 * How many decode steps go into one submit: as many as fit into the budget by the measured time of a step, at most twice as many as
 * in the submit before, as a submit's fixed cost hides what one more step costs.
 */
export class RepeatPolicy {
  #repeat = 1;
  #stepMs: number | undefined;

  constructor(private readonly budgetMs = DEFAULT_BUDGET_MS) {}

  get repeat(): number {
    return this.#repeat;
  }

  /** A submit of `repeat` steps, all of them decoding, took `ms`. */
  observe(repeat: number, ms: number): void {
    const measured = ms / repeat;
    this.#stepMs = this.#stepMs === undefined ? measured : this.#stepMs + NEWEST * (measured - this.#stepMs);
    this.#repeat = Math.max(1, Math.min(MOST, 2 * repeat, Math.floor(this.budgetMs / this.#stepMs)));
  }
}
