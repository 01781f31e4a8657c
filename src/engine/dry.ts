import { type DryPenalties, MAX_DRY_PENALTIES, type SamplingSettings } from './runner';

/** Beginnings of the strings that end a repetition, as tokens: the first one, and all that may follow it to make one of the strings. */
export type DryBreakers = ReadonlyMap<number, readonly (readonly number[])[]>;

/** The natural logarithm of the largest f32: powers end below it. */
const LARGEST_LOG = 88.7228391;

/**
 * Don't Repeat Yourself (p-e-w 2024; llama.cpp's definition): for each token that followed an earlier occurrence of the last n tokens,
 * multiplier · base^(n - allowedLength), of the longest such n ≥ allowedLength. What a breaker stands before does not count, and a token that
 * is a breaker is never punished.
 *
 * @param tokens prompt and output so far
 * @returns tokens with what their logits lose, the longest repetitions first, at most MAX_DRY_PENALTIES
 */
export function dryPenalties(tokens: readonly number[], s: SamplingSettings, breakers: DryBreakers): DryPenalties {
  const count = s.dryPenaltyLastN < 0 ? tokens.length : Math.min(tokens.length, s.dryPenaltyLastN);
  if (count <= s.dryAllowedLength) return [];
  // Newest first.
  const past = tokens.slice(tokens.length - count).reverse();
  const limit = sinceBreaker(past, breakers);
  if (limit < s.dryAllowedLength) return [];
  const longest = new Map<number, number>();
  repeats(past).forEach((repeat, distance) => {
    const length = Math.min(repeat, limit);
    if (distance === 0 || length < s.dryAllowedLength) return;
    const follower = past[distance - 1];
    if (length > (longest.get(follower) ?? -1)) longest.set(follower, length);
  });
  const largestExponent = s.dryBase > 1.000001 ? Math.floor(LARGEST_LOG / Math.log(s.dryBase)) : Number.MAX_VALUE;
  return [...longest]
    .filter(([token]) => !breakers.get(token)?.some((tail) => tail.length === 0))
    .sort(([a, lengthOfA], [b, lengthOfB]) => lengthOfB - lengthOfA || a - b)
    .slice(0, MAX_DRY_PENALTIES)
    .map(([token, length]) => {
      const exponent = Math.min(length - s.dryAllowedLength, largestExponent);
      return [token, s.dryMultiplier * s.dryBase ** exponent] as const;
    });
}

/** Tokens after the newest breaker; all when there is none. */
function sinceBreaker(past: readonly number[], breakers: DryBreakers): number {
  for (let i = 0; i < past.length; i++) {
    const lengths = (breakers.get(past[i]) ?? [])
      .filter((tail) => tail.length <= i && tail.every((token, offset) => token === past[i - 1 - offset]))
      .map((tail) => tail.length);
    if (lengths.length > 0) return i - Math.max(...lengths);
  }
  return past.length;
}

/** For each k the length of the longest common beginning of `tokens` and of itself from k on (the Z-algorithm, Gusfield 1997). */
function repeats(tokens: readonly number[]): number[] {
  const lengths: number[] = [tokens.length];
  // tokens[from, to) repeats the beginning, with the largest `to` so far.
  let from = 0;
  let to = 0;
  for (let k = 1; k < tokens.length; k++) {
    let length = k < to ? Math.min(lengths[k - from], to - k) : 0;
    while (k + length < tokens.length && tokens[length] === tokens[k + length]) length++;
    lengths.push(length);
    if (k + length > to) {
      from = k;
      to = k + length;
    }
  }
  return lengths;
}
