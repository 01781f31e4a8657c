import { InternalError } from '../errors';

/** Positions of the table's low level; the high level has one row per this many positions. shaders/lib/rope.wgsl mirrors it. */
const LOW_POSITIONS = 256;

export interface RopeTableOptions {
  /** Leading dimensions of a head that rotate, even; they make ropeDims / 2 pairs. */
  readonly ropeDims: number;
  /** θ: pair i turns by base^(−2i / ropeDims) radians a position. */
  readonly base: number;
  /** Positions that the table covers. */
  readonly contextLength: number;
  /** One per pair; *divides* the pair's angle (the tensor `rope_freqs` of a GGUF). */
  readonly frequencyFactors?: ArrayLike<number>;
  /** Multiplies positions: 1 / factor for linear scaling (Chen et al. 2023). */
  readonly positionScale?: number;
  /** Multiplies the rotated queries and keys (the attention factor of YaRN, Peng et al. 2023). */
  readonly attentionFactor?: number;
}

/** Numbers in a table: two per pair and row, 256 rows of the low level and one per 256 positions of the high level. */
export function ropeTableLength(ropeDims: number, contextLength: number): number {
  return (LOW_POSITIONS + Math.ceil(contextLength / LOW_POSITIONS)) * ropeDims;
}

/**
 * Cosines and sines of the rotary embedding (Su et al. 2021) for positions [0, contextLength), computed in f64: sines of large arguments
 * are inaccurate on GPUs, so no kernel computes one. Row-major [256 + ceil(contextLength / 256), ropeDims / 2, (cos, sin)]: row p < 256
 * turns by position p, row 256 + h by position 256·h; a kernel multiplies rows p % 256 and 256 + floor(p / 256) as complex numbers.
 * Throws InternalError for shapes that cannot be.
 */
export function buildRopeTable(options: RopeTableOptions): Float32Array<ArrayBuffer> {
  const { ropeDims, base, contextLength, frequencyFactors, positionScale = 1, attentionFactor = 1 } = options;
  const pairs = ropeDims / 2;
  if (!Number.isInteger(pairs) || pairs < 1 || !(contextLength >= 1) || !(base > 0)) {
    throw new InternalError(`rope table of ${ropeDims} dimensions, base ${base}, context ${contextLength}`);
  }
  if (frequencyFactors !== undefined && frequencyFactors.length !== pairs) {
    throw new InternalError(`rope table: ${frequencyFactors.length} frequency factors for ${pairs} pairs`);
  }
  const frequencies = Array.from({ length: pairs }, (_, i) => {
    return (positionScale * base ** ((-2 * i) / ropeDims)) / (frequencyFactors?.[i] ?? 1);
  });
  const table = new Float32Array(ropeTableLength(ropeDims, contextLength));
  const rows = table.length / ropeDims;
  for (let row = 0; row < rows; row++) {
    const low = row < LOW_POSITIONS;
    const position = low ? row : (row - LOW_POSITIONS) * LOW_POSITIONS;
    // The factor belongs to one level only: the levels are multiplied.
    const magnitude = low ? attentionFactor : 1;
    for (let i = 0; i < pairs; i++) {
      const angle = position * frequencies[i];
      table[row * ropeDims + 2 * i] = magnitude * Math.cos(angle);
      table[row * ropeDims + 2 * i + 1] = magnitude * Math.sin(angle);
    }
  }
  return table;
}

export interface YarnOptions {
  readonly ropeDims: number;
  readonly base: number;
  /** How many times longer than the original context the model has learned to read. */
  readonly factor: number;
  readonly originalContext: number;
  /** Turns over the original context above which a pair keeps its angle, and below which it is stretched in full. */
  readonly betaFast: number;
  readonly betaSlow: number;
  /** Ends of the ramp are whole pairs; they are where they are not said to be otherwise. */
  readonly truncate?: boolean;
}

/** Frequency factors of YaRN (Peng et al. 2023, "NTK-by-parts"): 1 for the fast pairs, `factor` for the slow, a ramp between, as ggml has it. */
export function yarnFactors(options: YarnOptions): Float64Array<ArrayBuffer> {
  const { ropeDims, base, factor, originalContext, betaFast, betaSlow, truncate = true } = options;
  const pairOf = (turns: number): number =>
    (ropeDims * Math.log(originalContext / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const [first, last] = [pairOf(betaFast), pairOf(betaSlow)];
  const low = Math.max(0, truncate ? Math.floor(first) : first);
  const high = Math.min(ropeDims - 1, truncate ? Math.ceil(last) : last);
  return Float64Array.from({ length: ropeDims / 2 }, (_, pair) => {
    const stretched = Math.min(1, Math.max(0, (pair - low) / Math.max(0.001, high - low)));
    return 1 / (stretched / factor + 1 - stretched);
  });
}

/** (cos, sin) of pair `pair` at `position`, as kernels combine them but in f64. */
export function ropeAngle(
  table: Float32Array,
  ropeDims: number,
  position: number,
  pair: number,
): readonly [cos: number, sin: number] {
  const low = (position % LOW_POSITIONS) * ropeDims + 2 * pair;
  const high = (LOW_POSITIONS + Math.floor(position / LOW_POSITIONS)) * ropeDims + 2 * pair;
  return [
    table[low] * table[high] - table[low + 1] * table[high + 1],
    table[low] * table[high + 1] + table[low + 1] * table[high],
  ];
}
