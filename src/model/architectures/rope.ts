import { InvalidFileError, UnsupportedModelError } from '../../errors';
import { type Gguf, optionalBool, optionalNumber, optionalString } from '../../formats/gguf/gguf';
import type { Vector } from '../../ops/op';
import { buildRopeTable, ropeTableLength, yarnFactors } from '../../ops/rope_table';
import { expectAbsentOr, positive, positiveReal } from '../hyperparameters';
import type { TensorTable } from '../tensor_table';

const KINDS: readonly string[] = ['none', 'linear', 'yarn', 'longrope'];

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

/** What the sliding layers of a model do differently. */
interface LocalRope {
  readonly base: number;
  readonly pairing: Rope['pairing'];
  readonly dims: number;
  /** What queries and keys are multiplied by, in every layer. */
  readonly attentionFactor: number;
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
  // A factor without a kind is a linear one.
  const kind = optionalString(gguf, key('scaling.type')) ?? 'linear';
  if (!KINDS.includes(kind)) throw new UnsupportedModelError(`${key('scaling.type')} = ${kind} is not supported`);
  const originalContext = positive(
    gguf,
    key('scaling.original_context_length'),
    positive(gguf, `${architecture}.context_length`),
  );
  // 0 stands for nothing.
  const named = ['scaling.factor', 'scale_linear'].find((name) => optionalNumber(gguf, key(name)));
  const factor = named === undefined ? 1 : positiveReal(gguf, key(named));
  const attentionFactor = positiveReal(gguf, key('scaling.attn_factor'), 1);
  // What llama.cpp reads too, and no file has been seen with.
  expectAbsentOr(gguf, key('scaling.yarn_ext_factor'), [1, -1]);
  expectAbsentOr(gguf, key('scaling.yarn_attn_factor'), [1]);
  expectAbsentOr(gguf, key('scaling.alpha'), [0]);
  const logMultiplier = optionalNumber(gguf, key('scaling.yarn_log_multiplier')) ?? 0;
  if (!(logMultiplier >= 0)) throw new InvalidFileError(`${key('scaling.yarn_log_multiplier')} is ${logMultiplier}`);
  const yarn = kind === 'yarn';
  if (yarn && base <= 1) throw new InvalidFileError(`${key('freq_base')} is ${base}, YaRN needs more than 1`);
  const ramp = yarn
    ? yarnFactors({
        ropeDims: dims,
        base,
        factor,
        originalContext,
        betaFast: positiveReal(gguf, key('scaling.yarn_beta_fast'), 32),
        betaSlow: positiveReal(gguf, key('scaling.yarn_beta_slow'), 1),
        // Not llama.cpp's: what a checkpoint's configuration may say.
        truncate: optionalBool(gguf, key('scaling.yarn_truncate')),
      })
    : undefined;
  const table = {
    ropeDims: dims,
    base,
    contextLength,
    // As llama.cpp has it: a factor beside long ones, which its converter does not write, stretches positions too.
    positionScale: kind === 'linear' || kind === 'longrope' ? 1 / factor : 1,
    attentionFactor: attentionFactor * (yarn ? magnitude(factor, 1) / magnitude(factor, logMultiplier) : 1),
  };
  const tensor = factorTensor(tensors, contextLength > originalContext);
  return {
    table: tensors.computed(
      'rope_table',
      ropeTableLength(dims, contextLength),
      tensor === undefined ? undefined : { tensor, length: dims / 2 },
      (factors) => {
        const bad = factors.find((value) => !(value > 0));
        if (bad !== undefined) throw new InvalidFileError(`tensor "${tensor}" holds ${bad}, expected positive numbers`);
        const combined = ramp && factors.length > 0 ? ramp.map((x, i) => x * factors[i]) : (ramp ?? factors);
        return buildRopeTable({ ...table, frequencyFactors: combined.length > 0 ? combined : undefined });
      },
    ),
    dims,
    pairing,
  };
}

/** Longer contexts flatten attention: what YaRN makes up for it. A log multiplier (DeepSeek, Mistral 3) takes some of it back. */
function magnitude(factor: number, multiplier: number): number {
  return 1 + 0.1 * multiplier * Math.log(Math.max(1, factor));
}

/** The rotation of sliding layers that see too little to need any scaling. */
export function localRope(tensors: TensorTable, { pairing, dims, ...local }: LocalRope, contextLength: number): Rope {
  if (dims % 2 !== 0) throw new InvalidFileError(`an odd number of dimensions that rotate: ${dims}`);
  const table = tensors.computed('rope_table_local', ropeTableLength(dims, contextLength), undefined, () =>
    buildRopeTable({ ropeDims: dims, contextLength, ...local }),
  );
  return { table, dims, pairing };
}

/** The tensor whose values divide the angles, if the file has one. Of a long and a short one both are part of the model. */
function factorTensor(tensors: TensorTable, long: boolean): string | undefined {
  if (tensors.has('rope_freqs.weight')) return 'rope_freqs.weight';
  const names = ['rope_factors_long.weight', 'rope_factors_short.weight'];
  if (!names.some((name) => tensors.has(name))) return undefined;
  for (const name of names) tensors.require(name);
  return long ? names[0] : names[1];
}
