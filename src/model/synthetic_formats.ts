import { GGML_TYPES, type GgmlType } from '../formats/gguf/ggml_types';
import { WEIGHT_FORMATS, type WeightFormat } from '../formats/weight_format';

/** Mixtures under the names that files have: most matrices in the first type, some in Q6_K. */
const MIXES = { q4_k_m: 'Q4_K', q5_k_m: 'Q5_K' } as const satisfies Record<string, GgmlType>;

/** What the matrices of a synthetic model are stored in: one format for all, or a mixture. */
export type SyntheticFormat = WeightFormat | keyof typeof MIXES;

export const SYNTHETIC_FORMATS: readonly SyntheticFormat[] = [
  ...WEIGHT_FORMATS,
  ...(Object.keys(MIXES) as (keyof typeof MIXES)[]),
];

/** What llama.cpp's quantiser takes for rows that do not fill the blocks of 256 of the first. */
const STAND_INS: Readonly<Partial<Record<GgmlType, GgmlType>>> = {
  Q2_K: 'IQ4_NL',
  Q3_K: 'IQ4_NL',
  IQ4_XS: 'IQ4_NL',
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
};

/** Layers whose mixture has more bits: the first and the last eighth, and every third one between, as llama.cpp chooses them. */
function hasMoreBits(layer: number, numLayers: number): boolean {
  const eighth = Math.floor(numLayers / 8);
  return layer < eighth || layer >= Math.floor((7 * numLayers) / 8) || (layer - eighth) % 3 === 2;
}

/**
 * The type that a matrix is stored in, given its name without ".weight" and its columns. In a mixture the output head (of tied models the
 * table of embeddings) and, in some layers, the values and the feed-forward network's last matrix are Q6_K.
 */
export function matrixType(
  format: SyntheticFormat,
  name: string,
  cols: number,
  { numLayers, tied }: { readonly numLayers: number; readonly tied: boolean },
): GgmlType {
  const wanted = format === 'q4_k_m' || format === 'q5_k_m' ? mixed(MIXES[format]) : (format.toUpperCase() as GgmlType);
  return cols % GGML_TYPES[wanted].blockSize === 0 ? wanted : (STAND_INS[wanted] ?? wanted);

  function mixed(base: GgmlType): GgmlType {
    if (name === (tied ? 'token_embd' : 'output')) return 'Q6_K';
    const layer = /^blk\.(\d+)\.(?:attn_v|ffn_down(?:_exps)?)$/.exec(name)?.[1];
    return layer !== undefined && hasMoreBits(Number(layer), numLayers) ? 'Q6_K' : base;
  }
}
