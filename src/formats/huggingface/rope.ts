/** Rotary embeddings as transformers' configurations describe them, in GGUF's words. */

import type { Config } from './config';
import type { Metadata } from './metadata';

/** A vector that the model's file would hold, computed from the configuration. */
export interface ComputedTensor {
  readonly name: string;
  readonly values: Float32Array<ArrayBuffer>;
}

export interface Rope {
  readonly theta: number;
  readonly tensors: readonly ComputedTensor[];
}

const YARN_DEFAULTS: readonly (readonly [key: string, value: number])[] = [
  ['beta_fast', 32],
  ['beta_slow', 1],
  ['mscale', 1],
];

/** Where a configuration keeps its RoPE: transformers 5 has "rope_parameters", one for each kind of layer in some families. */
export function ropeParameters(config: Config, kind = 'full_attention'): Config | undefined {
  const parameters = config.nested('rope_parameters');
  return parameters?.nested(kind) ?? parameters ?? config.nested('rope_scaling');
}

/**
 * Writes `ARCH.rope.*` and computes the factors that GGUF keeps as tensors. `dims` are the rotated ones of a head.
 * Throws UnsupportedModelError for any other kind of scaling.
 */
export function describeRope(config: Config, metadata: Metadata, dims: number, defaultTheta = 10_000): Rope {
  const scaling = ropeParameters(config);
  const theta = scaling?.optionalReal('rope_theta') ?? config.real('rope_theta', defaultTheta);
  metadata.f32('rope.freq_base', theta);
  metadata.u32('rope.dimension_count', dims);
  if (!scaling) return { theta, tensors: [] };
  const type = scaling.text('rope_type', scaling.text('type', 'default'));
  switch (type) {
    case 'default':
      return { theta, tensors: [] };
    case 'linear':
      metadata.string('rope.scaling.type', 'linear');
      metadata.f32('rope.scaling.factor', scaling.real('factor'));
      return { theta, tensors: [] };
    case 'yarn':
      describeYarn(config, scaling, metadata);
      return { theta, tensors: [] };
    case 'llama3':
      return { theta, tensors: [{ name: 'rope_freqs.weight', values: llama3Factors(scaling, theta, dims) }] };
    case 'longrope':
    case 'su':
      return { theta, tensors: longFactors(config, scaling, metadata, dims) };
    default:
      throw config.unsupported(`the RoPE type "${type}" is not supported`);
  }
}

function describeYarn(config: Config, scaling: Config, metadata: Metadata): void {
  for (const [key, value] of YARN_DEFAULTS) scaling.expect(key, [value]);
  const factor = scaling.real('factor');
  metadata.string('rope.scaling.type', 'yarn');
  metadata.f32('rope.scaling.factor', factor);
  const original = scaling.optionalInteger('original_max_position_embeddings');
  metadata.u32('rope.scaling.original_context_length', original ?? config.integer('max_position_embeddings'));
  // GGUF has no key for it: llama.cpp always rounds the ends of YaRN's ramp.
  if (!scaling.flag('truncate', true)) metadata.bool('rope.scaling.yarn_truncate', false);
  const attention = scaling.optionalReal('attention_factor');
  const multiplier = scaling.has('mscale') ? scaling.real('mscale_all_dim', 0) : 0;
  if (attention === undefined) {
    if (multiplier !== 0) metadata.f32('rope.scaling.yarn_log_multiplier', multiplier);
    return;
  }
  // Here it stands in place of YaRN's own factor; GGUF's comes on top of it.
  const ratio = attention / (1 + 0.1 * Math.log(Math.max(1, factor)));
  if (Math.abs(ratio - 1) > 1e-6) metadata.f32('rope.scaling.attn_factor', ratio);
}

/** Llama 3.1's smooth blend between the trained and the stretched frequencies; what GGUF's `rope_freqs` divides angles by. */
function llama3Factors(scaling: Config, theta: number, dims: number): Float32Array<ArrayBuffer> {
  const factor = scaling.real('factor');
  const low = scaling.real('low_freq_factor');
  const high = scaling.real('high_freq_factor');
  const original = scaling.integer('original_max_position_embeddings');
  if (!(factor > 0 && low > 0 && high > low))
    throw scaling.invalid('rope_scaling: the factors of "llama3" are out of order');
  return Float32Array.from({ length: dims / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * i) / dims);
    if (wavelength < original / high) return 1;
    if (wavelength > original / low) return factor;
    const smooth = (original / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** Phi-3's factors for each frequency, one list up to the original context and one beyond. */
function longFactors(config: Config, scaling: Config, metadata: Metadata, dims: number): ComputedTensor[] {
  const context = config.integer('max_position_embeddings');
  const original =
    config.optionalInteger('original_max_position_embeddings') ?? scaling.integer('original_max_position_embeddings');
  metadata.u32('rope.scaling.original_context_length', original);
  const stretch = context / original;
  const computed = stretch > 1 ? Math.sqrt(1 + Math.log(stretch) / Math.log(original)) : 1;
  metadata.f32('rope.scaling.attn_factor', scaling.optionalReal('attention_factor') ?? computed);
  return (['long', 'short'] as const).map((which) => {
    const values = scaling.list(`${which}_factor`) ?? [];
    if (values.length !== dims / 2 || !values.every((value) => typeof value === 'number' && value > 0)) {
      throw scaling.invalid(`rope_scaling: "${which}_factor" is no list of ${dims / 2} positive numbers`);
    }
    return { name: `rope_factors_${which}.weight`, values: Float32Array.from(values as readonly number[]) };
  });
}
