/** A step that verifies has one row more, and up to 16 rows a row's result does not depend on the others. */
export const MAX_DRAFT_LENGTH = 15;

/** Weight of what was seen before, at each new observation. */
const KEEP = 0.9;
const KEEP_COST = 0.75;
/** What one more row is thought to cost before it was measured, as a part of a step of one row. */
const ASSUMED_ROW_COST = 0.1;
const FIRST_ACCEPTANCE = 0.6;
/** Tokens without drafts after drafting has lost; doubled each time that it loses again. */
const FIRST_REST = 16;
const LONGEST_REST = 256;

/** Milliseconds of a decode step by its rows, as measured: the cost curve v(n). */
export class StepCosts {
  readonly #ms = new Map<number, number>();

  observe(rows: number, ms: number): void {
    const before = this.#ms.get(rows);
    this.#ms.set(rows, before === undefined ? ms : KEEP_COST * before + (1 - KEEP_COST) * ms);
  }

  /** Measured, else between its neighbours, else from the nearest one on by the assumed cost of a row. Undefined before any measurement. */
  ms(rows: number): number | undefined {
    const exact = this.#ms.get(rows);
    if (exact !== undefined) return exact;
    let below: number | undefined;
    let above: number | undefined;
    for (const known of this.#ms.keys()) {
      if (known < rows && (below === undefined || known > below)) below = known;
      if (known > rows && (above === undefined || known < above)) above = known;
    }
    const at = (known: number): number => this.#ms.get(known) as number;
    if (below !== undefined && above !== undefined) {
      return at(below) + ((at(above) - at(below)) * (rows - below)) / (above - below);
    }
    if (below !== undefined) return at(below) * (1 + ASSUMED_ROW_COST * (rows - below));
    if (above !== undefined) return at(above) / (1 + ASSUMED_ROW_COST * (above - rows));
    return undefined;
  }
}

/**
 * How many tokens to draft for one sequence: the length whose expected speed is the best by the measured acceptance and costs, with
 * E = (1 − α^(k+1)) / (1 − α) tokens for v(k + 1) + k·c (Leviathan et al. 2023). When no length beats plain decoding it rests, ever
 * longer, and then tries again.
 */
export class DraftLength {
  #accepted = FIRST_ACCEPTANCE;
  #tried = 1;
  #draftMs = 0;
  #drafts = 0;
  #rest = FIRST_REST;
  /** Tokens that the sequence must have before drafting goes on. */
  #resumeAt = 0;

  /** `fixed`: always this many. */
  constructor(
    private readonly costs: StepCosts,
    private readonly most: number,
    private readonly fixed?: number,
  ) {}

  get acceptance(): number {
    return this.#accepted / this.#tried;
  }

  resting(tokens: number): boolean {
    return tokens < this.#resumeAt;
  }

  /** The sequence counts so many tokens less from here. */
  shortened(by: number): void {
    this.#resumeAt -= by;
  }

  /** Nothing to guess from: no use in looking again at once. */
  restBriefly(tokens: number, count: number): void {
    this.#resumeAt = Math.max(this.#resumeAt, tokens + count);
  }

  /** Of `drafted` tokens, which took `ms` to guess, the first `accepted` were right. */
  observe(drafted: number, accepted: number, ms: number): void {
    this.#accepted = KEEP * this.#accepted + accepted;
    // Those after the first wrong one say nothing.
    this.#tried = KEEP * this.#tried + Math.min(drafted, accepted + 1);
    this.#draftMs = KEEP * this.#draftMs + ms;
    this.#drafts = KEEP * this.#drafts + drafted;
  }

  /** Tokens to draft after `tokens`, 0: none, and rest. */
  next(tokens: number): number {
    if (this.fixed !== undefined) return this.fixed;
    const length = this.#best();
    if (length > 0) {
      if (this.acceptance > 0.5) this.#rest = FIRST_REST;
      return length;
    }
    this.#resumeAt = tokens + this.#rest;
    this.#rest = Math.min(2 * this.#rest, LONGEST_REST);
    // The next try is not to be judged by what lost long ago.
    this.#accepted = FIRST_ACCEPTANCE;
    this.#tried = 1;
    return 0;
  }

  #best(): number {
    const alpha = Math.min(this.acceptance, 0.99);
    const one = this.costs.ms(1);
    const draft = this.#drafts > 0 ? this.#draftMs / this.#drafts : 0;
    let best = 0;
    let speed = one === undefined ? 0 : 1 / one;
    for (let k = 1; k <= this.most; k++) {
      const expected = (1 - alpha ** (k + 1)) / (1 - alpha);
      const ms = this.costs.ms(k + 1) ?? 1 + ASSUMED_ROW_COST * k;
      if (expected / (ms + k * draft) > speed) {
        best = k;
        speed = expected / (ms + k * draft);
      }
    }
    return best;
  }
}
