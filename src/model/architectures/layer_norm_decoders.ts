/** Decoders with LayerNorm: one after another or with attention and feed-forward network side by side (Wang & Komatsuzaki 2021). */
import type { ModelSpec } from '../model_spec';
import type { Branch, Decoder, ResidualBranch, Stage } from './decoder';
import type { DecoderReader } from './decoder_reader';
import type { LayerNorm } from './plan_context';

function head(reader: DecoderReader): Pick<Decoder, 'embedding' | 'head'> {
  const { table, output } = reader.tables();
  const bias = reader.tensors.has('output.bias')
    ? reader.tensors.vector('output.bias', [{ tensor: 'output.bias', length: reader.vocabSize }])
    : undefined;
  return { embedding: { table, scale: 1 }, head: { norm: reader.layerNorm('output_norm'), weight: output, bias } };
}

function sequential(reader: DecoderReader, layer: number, attention: Branch, ffn: Branch): Stage[] {
  const norm = (name: string): LayerNorm => reader.layerNorm(reader.at(layer, name));
  return [[{ norm: norm('attn_norm'), branch: attention }], [{ norm: norm('ffn_norm'), branch: ffn }]];
}

/** Both branches read the stream as it was before the layer, through one norm. */
function parallel(norm: LayerNorm, ...branches: Branch[]): Stage[] {
  return [branches.map((branch): ResidualBranch => ({ norm, branch }))];
}

/** GPT-2 (Radford et al. 2019): learned positions, biases everywhere. */
export function readGpt2(reader: DecoderReader): ModelSpec {
  const { embedding, head: output } = head(reader);
  return reader.finish({
    embedding: { ...embedding, positions: reader.positions() },
    layers: reader.layers((layer) =>
      sequential(reader, layer, reader.attention(layer, {}), reader.plainFfn(layer, 'gelu')),
    ),
    head: output,
  });
}

/** StarCoder2 (Lozhkov et al. 2024): biases everywhere, RoPE, grouped K/V heads. The window that its configurations name is not in the files. */
export function readStarCoder2(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('halves');
  return reader.finish({
    ...head(reader),
    layers: reader.layers((layer) =>
      sequential(reader, layer, reader.attention(layer, { rope }), reader.plainFfn(layer, 'gelu')),
    ),
  });
}

/** Falcon (Almazrouei et al. 2023): parallel branches; the 40B form has a norm of its own for attention, the 7B form one K/V head. */
export function readFalcon(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('halves');
  return reader.finish({
    ...head(reader),
    layers: reader.layers((layer) => {
      const norm = reader.layerNorm(reader.at(layer, 'attn_norm'));
      const attention = reader.attention(layer, { rope });
      const ffn = reader.plainFfn(layer, 'gelu');
      if (!reader.tensors.has(`${reader.at(layer, 'attn_norm_2')}.weight`)) return parallel(norm, attention, ffn);
      const attentionNorm = reader.layerNorm(reader.at(layer, 'attn_norm_2'));
      return [
        [
          { norm: attentionNorm, branch: attention },
          { norm, branch: ffn },
        ],
      ];
    }),
  });
}

/** Phi-1.5 and Phi-2 (Li et al. 2023): parallel branches, biases everywhere, RoPE of a part of each head. */
export function readPhi2(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('halves');
  return reader.finish({
    ...head(reader),
    layers: reader.layers((layer) =>
      parallel(
        reader.layerNorm(reader.at(layer, 'attn_norm')),
        reader.attention(layer, { rope }),
        reader.plainFfn(layer, 'gelu'),
      ),
    ),
  });
}

/** StableLM (Bellagente et al. 2024): gated networks, RoPE of a part of each head; the 12B form is parallel and normalises each query and key head. */
export function readStableLm(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('halves');
  return reader.finish({
    ...head(reader),
    layers: reader.layers((layer) => {
      const at = (name: string): string => reader.at(layer, name);
      const qkNorm = reader.tensors.has(`${at('attn_q_norm')}.weight`) ? 'each head' : undefined;
      const attention = reader.attention(layer, { rope, qkNorm });
      const ffn = reader.gatedFfn(layer, 'silu');
      if (reader.tensors.has(`${at('ffn_norm')}.weight`)) return sequential(reader, layer, attention, ffn);
      return parallel(reader.layerNorm(at('attn_norm')), attention, ffn);
    }),
  });
}

/** Command R7B (Cohere 2024): parallel branches; three of four layers slide and rotate, the fourth sees everything and has no positions. */
export function readCohere2(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('interleaved');
  const { embedding, head: output } = head(reader);
  return reader.finish({
    embedding,
    layers: reader.layers((layer) => {
      const window = reader.window(layer, 4);
      const attention = reader.attention(layer, { window, rope: window === undefined ? undefined : rope });
      return parallel(reader.layerNorm(reader.at(layer, 'attn_norm')), attention, reader.gatedFfn(layer, 'silu'));
    }),
    head: { ...output, scale: reader.positiveReal('logit_scale') },
  });
}
