import { InvalidFileError, UnsupportedModelError } from '../../errors';
import { type Gguf, optionalNumber, optionalString } from '../../formats/gguf/gguf';
import type { Vector } from '../../ops/op';
import { buildRopeTable, ropeTableLength } from '../../ops/rope_table';
import { positive, positiveReal } from '../hyperparameters';
import type { TensorTable } from '../tensor_table';

/** How heads are rotated by position (Su et al. 2021): a table of angles, and which of a head's dimensions it turns. */
export interface Rope {
  readonly table: Vector;
  readonly dims: number;
  readonly pairing: 'interleaved' | 'halves';
}

interface RopeOptions {
  readonly architecture: string;
  readonly contextLength: number;
  readonly headDim: number;
  readonly pairing: Rope['pairing'];
}

/**
 * The rotation that the file's `rope.*` keys and its `rope_freqs` or `rope_factors_*` tensors describe: plain, linear scaling (Chen et
 * al. 2023), YaRN (Peng et al. 2023) or long factors (Ding et al. 2024). Throws for a kind that is not known.
 */
export function readRope(gguf: Gguf, tensors: TensorTable, options: RopeOptions): Rope {
  const { architecture, contextLength, headDim, pairing } = options;
  const key = (name: string): string => `${architecture}.rope.${name}`;
  const dims = positive(gguf, key('dimension_count'), headDim);
  if (dims > headDim || dims % 2 !== 0) {
    throw new InvalidFileError(`${key('dimension_count')} is ${dims}, expected an even number up to ${headDim}`);
  }
  const base = positiveReal(gguf, key('freq_base'), 10000);
  const kind = optionalString(gguf, key('scaling.type')) ?? 'none';
  if (kind !== 'none' && kind !== 'linear') {
    throw new UnsupportedModelError(`${key('scaling.type')} = ${kind} is not supported`);
  }
  const factor =
    kind === 'linear' ? positiveReal(gguf, key('scaling.factor'), 1) : (optionalNumber(gguf, key('scale_linear')) ?? 1);
  const table = { ropeDims: dims, base, contextLength, positionScale: 1 / factor };
  return {
    table: tensors.computed(
      'rope_table',
      ropeTableLength(dims, contextLength),
      tensors.has('rope_freqs.weight') ? { tensor: 'rope_freqs.weight', length: dims / 2 } : undefined,
      (factors) => buildRopeTable({ ...table, frequencyFactors: factors.length > 0 ? factors : undefined }),
    ),
    dims,
    pairing,
  };
}
