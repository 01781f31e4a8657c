/**
 * Finds stop strings in text that arrives in pieces. Text goes out as soon as it can no longer be the beginning of a stop
 * string, so no part of a stop string is ever emitted, wherever the pieces are cut.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = '';
  #matched = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** True once a stop string has been seen; nothing is emitted after that. */
  get matched(): boolean {
    return this.#matched;
  }

  /** UTF-16 units that are held back: they may be the beginning of a stop string. */
  get heldLength(): number {
    return this.#held.length;
  }

  /** Takes the next piece and returns the text that is certain. */
  push(piece: string): string {
    if (this.#matched) return '';
    const text = this.#held + piece;
    const end = this.#firstMatch(text);
    this.#matched = end !== undefined;
    const certain = end ?? text.length - this.#possibleStart(text);
    this.#held = this.#matched ? '' : text.slice(certain);
    return text.slice(0, certain);
  }

  /** The generation is over: what was held back is text after all. */
  flush(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }

  #firstMatch(text: string): number | undefined {
    const starts = this.#stops.map((stop) => text.indexOf(stop)).filter((index) => index >= 0);
    return starts.length > 0 ? Math.min(...starts) : undefined;
  }

  /** Length of the longest end of `text` that begins a stop string. */
  #possibleStart(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
