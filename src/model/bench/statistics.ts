/** Repeated measurements of one thing. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** How many values there were. With one, nothing is known about the spread. */
  readonly runs: number;
}

/** Of an even number of values the mean of the middle two; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values), runs: values.length };
}

/** How much of an available rate (per second) an amount in so many milliseconds is; undefined where the rate is not known. */
export function shareOf(amount: number, ms: number, available: number | undefined): number | undefined {
  return available === undefined ? undefined : amount / (ms / 1000) / available;
}
