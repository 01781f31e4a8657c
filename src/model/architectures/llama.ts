/**
 * The llama family (Touvron et al. 2023; Grattafiori et al. 2024): Llama 2 and 3, Mistral, TinyLlama, SmolLM2 and their kin.
 * RMSNorm → grouped-query attention with interleaved RoPE → residual → RMSNorm → SwiGLU → residual; tied or untied output.
 */
import { expectAbsentOr } from '../hyperparameters';
import type { ModelSpec } from '../model_spec';
import type { DecoderReader } from './decoder_reader';

export function readLlama(reader: DecoderReader): ModelSpec {
  expectAbsentOr(reader.gguf, reader.key('expert_count'), [0]);
  const { table, output } = reader.tables();
  const rope = reader.rope('interleaved');
  return reader.finish({
    embedding: { table, scale: 1 },
    layers: reader.layers((layer) => [
      [{ norm: reader.rmsNorm(reader.at(layer, 'attn_norm')), branch: reader.attention(layer, { rope }) }],
      [{ norm: reader.rmsNorm(reader.at(layer, 'ffn_norm')), branch: reader.gatedFfn(layer, 'silu') }],
    ]),
    head: { norm: reader.rmsNorm('output_norm'), weight: output },
  });
}
