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

  /** Where the stop string begins that is complete first; the longest of those that end together. */
  #firstMatch(text: string): number | undefined {
    let first: { start: number; end: number } | undefined;
    for (const stop of this.#stops) {
      const start = text.indexOf(stop);
      if (start < 0) continue;
      const end = start + stop.length;
      if (!first || end < first.end || (end === first.end && start < first.start)) first = { start, end };
    }
    return first?.start;
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
