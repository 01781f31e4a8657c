import { StopMatcher } from './stop_matcher';

/** Turns a token into text; holds back bytes that are not yet a whole character. */
interface Decoder {
  push(token: number): string;
  flush(): string;
}

export interface AnswerPiece<Score> {
  readonly text: string;
  /** Scores of the tokens whose text has gone out with this piece, in order. */
  readonly scores: readonly Score[];
}

/**
 * From sampled tokens to the text that a user sees: decoding, stop strings, and each token's score kept beside its text (a
 * token that is held back, or cut off by a stop string, keeps its score back too).
 */
export class AnswerStream<Score> {
  readonly #decoder: Decoder;
  readonly #matcher: StopMatcher;
  #decoded = 0;
  #emitted = 0;
  #waiting: { readonly start: number; readonly end: number; readonly score: Score }[] = [];

  constructor(decoder: Decoder, stops: readonly string[]) {
    this.#decoder = decoder;
    this.#matcher = new StopMatcher(stops);
  }

  get stopped(): boolean {
    return this.#matcher.matched;
  }

  push(token: number, score?: Score): AnswerPiece<Score> {
    const text = this.#decoder.push(token);
    const start = this.#decoded;
    this.#decoded += text.length;
    if (score !== undefined) this.#waiting.push({ start, end: this.#decoded, score });
    return this.#emit(this.#matcher.push(text));
  }

  /** The last piece, when the generation ended by itself: held text, and half a character as U+FFFD. */
  finish(): AnswerPiece<Score> {
    if (this.stopped) return { text: '', scores: [] };
    const rest = this.#decoder.flush();
    this.#decoded += rest.length;
    const certain = this.#matcher.push(rest);
    return this.#emit(this.stopped ? certain : certain + this.#matcher.flush());
  }

  #emit(text: string): AnswerPiece<Score> {
    this.#emitted += text.length;
    // A stop string that begins inside a token leaves a part of its text: then the token counts as emitted.
    const out = this.#waiting.filter(({ start, end }) => (this.stopped ? start < this.#emitted : end <= this.#emitted));
    this.#waiting = this.stopped ? [] : this.#waiting.filter(({ end }) => end > this.#emitted);
    return { text, scores: out.map(({ score }) => score) };
  }
}
