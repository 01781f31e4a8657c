/** Longest that a step should take while somebody waits for a token of it. */
const DEFAULT_BUDGET_MS = 100;
/** Rows of prompts that a step takes in any case: fewer would cost nearly as much. Also the fewest that a measurement says anything about. */
const LEAST_ROWS = 32;
/** Weight of the newest measurement: smooths out what else the machine does. */
const NEWEST = 0.25;

/**
 * How many rows of prompts ride along with decode rows: as many as fit into the time, by the measured cost of a prompt's row. A long prompt
 * then slows others down by that much a step, instead of making them wait for its largest chunks.
 */
export class StepBudget {
  #rowMs: number | undefined;

  constructor(private readonly budgetMs = DEFAULT_BUDGET_MS) {}

  /** Undefined: as many as there is room for. */
  get promptRows(): number | undefined {
    // A clock that is too coarse measures nothing.
    if (!this.#rowMs || this.budgetMs === Number.POSITIVE_INFINITY) return undefined;
    return Math.max(LEAST_ROWS, Math.floor(this.budgetMs / this.#rowMs));
  }

  /** A step with so many rows of prompts took `ms`. */
  observe(prefillRows: number, ms: number): void {
    if (prefillRows < LEAST_ROWS) return;
    const measured = ms / prefillRows;
    this.#rowMs = this.#rowMs === undefined ? measured : this.#rowMs + NEWEST * (measured - this.#rowMs);
  }
}
