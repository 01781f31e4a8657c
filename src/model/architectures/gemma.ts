/**
 * Gemma (Gemma Team 2024 to 2025): embeddings scaled by √hidden, GELU gates, an output tied to the embedding. The + 1 of its norms is in
 * the file's weights. Gemma 2 adds norms after the branches, soft caps and sliding layers; Gemma 3 norms of query and key heads in place of
 * the caps, and a RoPE base of its own for sliding layers.
 */
import type { ModelSpec } from '../model_spec';
import type { Branch, Decoder, Stage } from './decoder';
import type { DecoderReader } from './decoder_reader';
import { preNormLayer } from './llama';

/** Layers of the largest Gemma 2 and 3, whose attention is scaled by hidden / heads in place of the head size. */
const LAYERS_OF_27B = { gemma2: 46, gemma3: 62 };

function embeddingAndHead(reader: DecoderReader, softcap?: number): Pick<Decoder, 'embedding' | 'head'> {
  const { table, output } = reader.tables();
  return {
    embedding: { table, scale: Math.sqrt(reader.hiddenSize) },
    head: { norm: reader.rmsNorm('output_norm'), weight: output, softcap },
  };
}

/** A layer with norms before and after both branches. */
function sandwichLayer(reader: DecoderReader, layer: number, attention: Branch, ffn: Branch): Stage[] {
  const norm = (name: string) => reader.rmsNorm(reader.at(layer, name));
  return [
    [{ norm: norm('attn_norm'), branch: attention, postNorm: norm('post_attention_norm') }],
    [{ norm: norm('ffn_norm'), branch: ffn, postNorm: norm('post_ffw_norm') }],
  ];
}

export function readGemma(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('halves');
  return reader.finish({
    ...embeddingAndHead(reader),
    layers: reader.layers((layer) =>
      preNormLayer(reader, layer, reader.attention(layer, { rope }), reader.gatedFfn(layer, 'gelu')),
    ),
  });
}

export function readGemma2(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('halves');
  const softcap = reader.positiveReal('attn_logit_softcapping', 50);
  const scale = attentionScale(reader, LAYERS_OF_27B.gemma2);
  return reader.finish({
    ...embeddingAndHead(reader, reader.positiveReal('final_logit_softcapping', 30)),
    layers: reader.layers((layer) => {
      const attention = reader.attention(layer, { rope, scale, softcap, window: reader.window(layer, 2, 4096) });
      return sandwichLayer(reader, layer, attention, reader.gatedFfn(layer, 'gelu'));
    }),
  });
}

export function readGemma3(reader: DecoderReader): ModelSpec {
  return gemma3(reader, 'causal');
}

/** EmbeddingGemma (Vera et al. 2025): Gemma 3 that looks both ways, sliding layers half a window each; pooled in place of an output head. */
export function readGemmaEmbedding(reader: DecoderReader): ModelSpec {
  return gemma3(reader, 'full');
}

function gemma3(reader: DecoderReader, mask: 'causal' | 'full'): ModelSpec {
  const rope = reader.rope('halves');
  const factor = reader.positiveReal('rope.scaling.attn_factor', 1);
  const local = reader.window(0, 6) === undefined ? rope : reader.localRope('halves', 10000, factor);
  const scale = attentionScale(reader, LAYERS_OF_27B.gemma3);
  return reader.finish({
    ...embeddingAndHead(reader, reader.optional('final_logit_softcapping')),
    layers: reader.layers((layer) => {
      const window = reader.window(layer, 6);
      const attention = reader.attention(layer, {
        rope: window ? local : rope,
        scale,
        window,
        mask,
        qkNorm: 'head',
      });
      return sandwichLayer(reader, layer, attention, reader.gatedFfn(layer, 'gelu'));
    }),
  });
}

function attentionScale(reader: DecoderReader, layersOf27b: number): number {
  const { numHeads, headDim } = reader.heads(0);
  return 1 / Math.sqrt(reader.numLayers === layersOf27b ? reader.hiddenSize / numHeads : headDim);
}
