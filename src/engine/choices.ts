/** Of one request; OpenAI's limit. */
export const MAX_CHOICES = 128;

const WORD = (1n << 64n) - 1n;

/**
 * The seed of a request's completion `index`: its own for the first one, so that one completion is what it is without others; for
 * those behind it a mix of both numbers (SplitMix64; Steele, Lea & Flood 2014), so that seeds side by side have no completion in common.
 */
export function seedOfChoice(seed: number, index: number): number {
  if (index === 0) return seed;
  let z = (BigInt(seed) + BigInt(index) * 0x9e3779b97f4a7c15n) & WORD;
  z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & WORD;
  z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & WORD;
  return Number((z ^ (z >> 31n)) & BigInt(Number.MAX_SAFE_INTEGER));
}
