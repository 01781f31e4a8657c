/**
 * Philox4x32-10, a counter-based generator (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"): the output is a
 * function of (key, counter) alone, so a draw needs no state and does not depend on which rows share a step. shaders/lib/rng.wgsl
 * computes the same words.
 */
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

type Words2 = readonly [number, number];
type Words4 = readonly [number, number, number, number];

/** High 32 bits of the 64-bit product of two u32. */
function multiplyHigh(a: number, b: number): number {
  return Number((BigInt(a) * BigInt(b)) >> 32n);
}

export function philox(counter: Words4, key: Words2): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low0 = Math.imul(MULTIPLIER_0, c0) >>> 0;
    const low1 = Math.imul(MULTIPLIER_1, c2) >>> 0;
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** Uses of the generator at one position; each has its own sequence. */
export const STREAM = { token: 0, xtc: 1, proposal: 2, accept: 3 } as const;

/** A uniform number in [0, 1) with 24 bits: the draw of a sequence's `seed` (a safe integer) at `position`. */
export function uniformAt(seed: number, position: number, stream: number): number {
  const key: Words2 = [seed % 2 ** 32, Math.floor(seed / 2 ** 32)];
  return (philox([position, stream, 0, 0], key)[0] >>> 8) / 2 ** 24;
}
