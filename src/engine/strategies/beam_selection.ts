/**
 * Which beams live on, and which hypotheses are done: beam search as the `generate` of Hugging Face's transformers defines it (4.50 and
 * later), for one prompt. Knows log-probabilities and nothing of sequences.
 */

export interface BeamSettings {
  /** Beams that live on after each step, and hypotheses that are kept. */
  readonly numBeams: number;
  /** A hypothesis of n tokens is worth its sum of log-probabilities / n^lengthPenalty: above 0 favours long ones. */
  readonly lengthPenalty: number;
  /**
   * When the search ends once there are numBeams hypotheses. true: at once. false: when the best beam, were it to end now, would be worth less than
   * the worst of them. 'never': when no beam could become better at any length up to maxTokens.
   */
  readonly earlyStopping: boolean | 'never';
}

interface BeamLimits {
  /** Tokens of a hypothesis at most, at least 1: the beams that reach it are hypotheses as they are. */
  readonly maxTokens: number;
  readonly stopTokens: ReadonlySet<number>;
}

/** A beam with what may follow it, likeliest first. */
export interface Beam {
  /** Sum of the log-probabilities of its output. */
  readonly score: number;
  readonly top: readonly (readonly [token: number, logprob: number])[];
}

/** Beam `parent` and one token more. */
export interface Continuation {
  readonly parent: number;
  readonly token: number;
  readonly logprob: number;
  readonly score: number;
}

export interface Hypothesis {
  /** What it is worth: the score with the length penalty. */
  readonly worth: number;
  /** Its last token; the beam before it is as it was at that step. */
  readonly last: Continuation;
  /** Of the step, counting from 1: its tokens, the one that stopped it included. */
  readonly length: number;
}

export interface Selection {
  /** At most numBeams, best first; empty when the search is over. */
  readonly beams: readonly Continuation[];
  /** Hypotheses that this step completed and that are among the best numBeams so far. */
  readonly completed: readonly Hypothesis[];
}

/**
 * How many of a beam's likeliest tokens have to be known: numBeams that may live on, and every stop token, might all of them be likelier.
 */
export function topNeeded(numBeams: number, stopTokens: ReadonlySet<number>): number {
  return numBeams + stopTokens.size;
}

export class BeamSelection {
  #length = 0;
  #finished: Hypothesis[] = [];

  constructor(private readonly settings: BeamSettings & BeamLimits) {}

  /** The hypotheses so far, best first; at most numBeams. */
  get hypotheses(): readonly Hypothesis[] {
    return this.#finished;
  }

  /** Takes a step: `beams` are those of the selection before (the first time one, without output), in its order. */
  advance(beams: readonly Beam[]): Selection {
    const { numBeams, stopTokens, maxTokens, lengthPenalty } = this.settings;
    this.#length++;
    const length = this.#length;
    const candidates = beams
      .flatMap(({ score, top }, parent) =>
        top.map(([token, logprob]): Continuation => ({ parent, token, logprob, score: score + logprob })),
      )
      .filter(({ score }) => score > Number.NEGATIVE_INFINITY)
      .sort((a, b) => b.score - a.score);
    const stops = ({ token }: Continuation): boolean => length >= maxTokens || stopTokens.has(token);
    // What stops further down is not worth a place: better ones have not even ended.
    const completed = candidates
      .slice(0, numBeams)
      .filter(stops)
      .map((last): Hypothesis => ({ last, length, worth: last.score / length ** lengthPenalty }));
    this.#finished = [...this.#finished, ...completed].sort((a, b) => b.worth - a.worth).slice(0, numBeams);
    const alive = candidates.filter((candidate) => !stops(candidate)).slice(0, numBeams);
    return {
      beams: this.#isOver(alive) ? [] : alive,
      completed: completed.filter((hypothesis) => this.#finished.includes(hypothesis)),
    };
  }

  #isOver([best]: readonly Continuation[]): boolean {
    const { numBeams, lengthPenalty, earlyStopping, maxTokens } = this.settings;
    if (!best) return true;
    if (this.#finished.length < numBeams) return false;
    if (earlyStopping === true) return true;
    const length = earlyStopping === 'never' && lengthPenalty > 0 ? maxTokens : this.#length;
    return best.score / length ** lengthPenalty <= this.#finished[numBeams - 1].worth;
  }
}
