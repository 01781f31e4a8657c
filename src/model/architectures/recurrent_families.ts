/** Families in which most layers keep a state of fixed size in place of keys and values. */
import { UnsupportedModelError } from '../../errors';
import { optionalNumberArray } from '../../formats/gguf/gguf';
import type { DeltaNetCall } from '../../ops/calls';
import { deltaNetFault } from '../../ops/recurrent/delta_net';
import type { ModelSpec } from '../model_spec';
import type { Branch, Stage } from './decoder';
import type { DecoderReader } from './decoder_reader';
import { readExperts } from './experts';
import { preNormLayer } from './llama';
import { readProjection } from './projection';
import { deltaNetBranch, gatedAttentionBranch, shortConvBranch } from './recurrent_branches';
import type { Rope } from './rope';

/** LFM2 (Liquid AI 2025): short convolutions, with attention where a layer has K/V heads. Its output norm is called `token_embd_norm`. */
export function readLfm2(reader: DecoderReader): ModelSpec {
  const { tensors, hiddenSize } = reader;
  const kvHeads = optionalNumberArray(reader.gguf, reader.key('attention.head_count_kv'));
  const attends = (layer: number): boolean => kvHeads === undefined || kvHeads[layer] !== 0;
  const width = reader.positive('shortconv.l_cache');
  const headDim = reader.positive('attention.key_length', hiddenSize / reader.positive('attention.head_count'));
  const rope = reader.rope('halves', headDim);
  const { table, output } = reader.tables();
  const convolution = (layer: number): Branch => {
    const at = (name: string): string => reader.at(layer, `shortconv.${name}`);
    const shape = [width, hiddenSize];
    const sources = [{ tensor: `${at('conv')}.weight`, shape }];
    return shortConvBranch({
      layer,
      input: reader.matrix(at('in_proj'), 3 * hiddenSize, hiddenSize),
      output: reader.matrix(at('out_proj'), hiddenSize, hiddenSize),
      weight: tensors.computedFrom(at('conv'), width * hiddenSize, sources, (values) => values),
      width,
    });
  };
  return reader.finish({
    embedding: { table, scale: 1 },
    layers: reader.layers((layer) => {
      const mixer = attends(layer) ? reader.attention(layer, { rope, qkNorm: 'head' }) : convolution(layer);
      return preNormLayer(reader, layer, mixer, reader.gatedFfn(layer, 'silu'));
    }),
    head: { norm: reader.rmsNorm('token_embd_norm'), weight: output },
    recurrent: true,
  });
}

/** Qwen3.5 (Qwen Team 2026): gated delta nets, with gated attention in every fourth layer. M-RoPE's sections all have the token's position. */
export function readQwen35(reader: DecoderReader): ModelSpec {
  return qwenHybrid(reader, 'tiled', (layer) => reader.gatedFfn(layer, 'silu'));
}

/** Qwen3.5 with experts and a shared one behind a gate. */
export function readQwen35Moe(reader: DecoderReader): ModelSpec {
  return qwenHybrid(reader, 'tiled', (layer) => qwenExperts(reader, layer));
}

/** Qwen3-Next (Qwen Team 2025): as Qwen3.5 with experts; neighbouring value heads share a key head. */
export function readQwen3Next(reader: DecoderReader): ModelSpec {
  return qwenHybrid(reader, 'grouped', (layer) => qwenExperts(reader, layer));
}

function qwenExperts(reader: DecoderReader, layer: number): Branch {
  const size = reader.positive('expert_feed_forward_length');
  const sharedSize = reader.positive('expert_shared_feed_forward_length', size);
  return readExperts(reader, layer, { size, normalise: true, sharedSize, sharedGate: true });
}

function qwenHybrid(reader: DecoderReader, heads: DeltaNetCall['heads'], ffn: (layer: number) => Branch): ModelSpec {
  const interval = reader.positive('full_attention_interval', 4);
  const rope = reader.rope('halves');
  const { table, output } = reader.tables();
  return reader.finish({
    embedding: { table, scale: 1 },
    layers: reader.layers((layer): Stage[] => {
      const attends = (layer + 1) % interval === 0;
      const norm = (name: string) => reader.rmsNorm(reader.at(layer, name));
      const mixer = attends ? gatedAttention(reader, layer, rope) : deltaNet(reader, layer, heads);
      return [
        [{ norm: norm('attn_norm'), branch: mixer }],
        [{ norm: norm('post_attention_norm'), branch: ffn(layer) }],
      ];
    }),
    head: { norm: reader.rmsNorm('output_norm'), weight: output },
    recurrent: true,
  });
}

function gatedAttention(reader: DecoderReader, layer: number, rope: Rope): Branch {
  const { numHeads, numKvHeads, headDim } = reader.heads(layer);
  const at = (name: string): string => reader.at(layer, name);
  const size = numHeads * headDim;
  const cache = { layer, numKvHeads, headDim };
  reader.caches.push(cache);
  const parts = ['attn_k', 'attn_v'].map((name) => ({ tensor: at(name), rows: numKvHeads * headDim }));
  const keyValue = readProjection(reader.tensors, at('attn_kv'), parts, reader.hiddenSize);
  return gatedAttentionBranch({
    queryGate: reader.matrix(at('attn_q'), 2 * size, reader.hiddenSize),
    keyValue: keyValue.map((part) => ({ ...part, column: part.column + size })),
    output: reader.matrix(at('attn_output'), reader.hiddenSize, size),
    cache,
    numHeads,
    rope,
    norm: reader.qkNorm(layer, 'head'),
  });
}

function deltaNet(reader: DecoderReader, layer: number, heads: DeltaNetCall['heads']): Branch {
  const { tensors, hiddenSize } = reader;
  const at = (name: string): string => reader.at(layer, name);
  const keyDim = reader.positive('ssm.state_size');
  const keyHeads = reader.positive('ssm.group_count');
  const valueHeads = reader.positive('ssm.time_step_rank');
  const valueSize = reader.positive('ssm.inner_size');
  const valueDim = valueSize / valueHeads;
  const width = reader.positive('ssm.conv_kernel');
  const fault =
    valueHeads % keyHeads === 0 ? deltaNetFault({ keyDim, valueDim }) : `${valueHeads} value heads on ${keyHeads}`;
  if (fault) throw new UnsupportedModelError(`gated delta net: ${fault}`);
  const channels = 2 * keyHeads * keyDim + valueSize;
  const gates =
    heads === 'grouped'
      ? [{ tensor: at('ssm_ba'), rows: 2 * valueHeads }]
      : ['ssm_beta', 'ssm_alpha'].map((name) => ({ tensor: at(name), rows: valueHeads }));
  const parts = [{ tensor: at('attn_qkv'), rows: channels }, { tensor: at('attn_gate'), rows: valueSize }, ...gates];
  const vector = (tensor: string, length: number) => ({ tensor, length });
  return deltaNetBranch({
    layer,
    input: readProjection(tensors, at('delta_in'), parts, hiddenSize),
    output: reader.matrix(at('ssm_out'), hiddenSize, valueSize),
    convolution: tensors.computedFrom(
      at('ssm_conv1d'),
      width * channels,
      [{ tensor: at('ssm_conv1d.weight'), shape: [width, channels] }],
      (values) => values,
    ),
    width,
    parameters: tensors.vector(at('delta_parameters'), [
      vector(at('ssm_a'), valueHeads),
      vector(at('ssm_dt.bias'), valueHeads),
      vector(at('ssm_norm.weight'), valueDim),
    ]),
    eps: reader.positiveReal('attention.layer_norm_rms_epsilon'),
    keyHeads,
    valueHeads,
    keyDim,
    valueDim,
    heads,
  });
}
