/**
 * Gemma 4 (Google DeepMind 2026): Gemma 3's layers with smaller heads where they slide, values that are normalised too, the keys as values
 * of full layers in the larger models, last layers that read the cache of an earlier one, a scale of the stream after each layer, in the
 * small models embeddings for every layer, in one experts beside the feed-forward network. As llama.cpp computes it; there is no paper.
 */
import { InvalidFileError } from '../../errors';
import { optionalNumber } from '../../formats/gguf/gguf';
import type { OpCall } from '../../ops/calls';
import type { Activation, KvCache, Vector } from '../../ops/op';
import type { ModelSpec } from '../model_spec';
import { attentionBranch } from './branches';
import type { Branch, Decoder, ResidualBranch, Stage } from './decoder';
import type { DecoderReader } from './decoder_reader';
import { readExperts } from './experts';
import type { PlanContext } from './plan_context';
import { type Projection, readProjection } from './projection';
import type { Rope } from './rope';

export function readGemma4(reader: DecoderReader): ModelSpec {
  const { table, output } = reader.tables();
  const factor = reader.positiveReal('rope.scaling.attn_factor', 1);
  const ropes = { full: reader.rope('halves'), local: reader.localRope('halves', 10000, factor) };
  const perLayer = readPerLayerEmbeddings(reader);
  return reader.finish({
    embedding: { table, scale: Math.sqrt(reader.hiddenSize), more: perLayer?.embed },
    layers: reader.layers((layer) => {
      const norm = (name: string) => reader.rmsNorm(reader.at(layer, name));
      const stages: ResidualBranch[] = [
        { norm: norm('attn_norm'), branch: attention(reader, layer, ropes), postNorm: norm('post_attention_norm') },
        hasExperts(reader, layer)
          ? { branch: expertsBesideFfn(reader, layer), postNorm: norm('post_ffw_norm') }
          : { norm: norm('ffn_norm'), branch: reader.gatedFfn(layer, 'gelu'), postNorm: norm('post_ffw_norm') },
        ...(perLayer ? [{ branch: perLayer.branch(layer), postNorm: norm('post_norm') }] : []),
      ];
      return withOutScale(stages, readOutScale(reader, layer));
    }),
    head: {
      norm: reader.rmsNorm('output_norm'),
      weight: output,
      // Absent, it is 30; 0 stands for none.
      softcap: reader.gguf.metadata.has(reader.key('final_logit_softcapping'))
        ? reader.optional('final_logit_softcapping')
        : 30,
    },
  });
}

function hasExperts(reader: DecoderReader, layer: number): boolean {
  return reader.tensors.has(`${reader.at(layer, 'ffn_gate_inp')}.weight`);
}

/**
 * norm₁(ffn(x)) + norm₂(experts(x)), each with a norm of the stream x before it. The router's is a third one, without weights; its scale and
 * a factor of 1/√hidden stand in their place here.
 */
function expertsBesideFfn(reader: DecoderReader, layer: number): Branch {
  const { hiddenSize, tensors } = reader;
  const norm = (name: string) => reader.rmsNorm(reader.at(layer, name));
  const scale = `${reader.at(layer, 'ffn_gate_inp')}.scale`;
  const weight = tensors.computedFrom(scale, hiddenSize, [{ tensor: scale, shape: [hiddenSize] }], (values) =>
    values.map((value) => value / Math.sqrt(hiddenSize)),
  );
  const experts = readExperts(reader, layer, {
    size: reader.positive('expert_feed_forward_length'),
    normalise: true,
    activation: 'geglu',
    scaled: reader.tensors.has(`${reader.at(layer, 'ffn_down_exps')}.scale`),
    routerNorm: { kind: 'rms', weight, eps: reader.positiveReal('attention.layer_norm_rms_epsilon') },
  });
  const parts = [
    { before: norm('ffn_norm'), branch: reader.gatedFfn(layer, 'gelu'), after: norm('post_ffw_norm_1') },
    { before: norm('pre_ffw_norm_2'), branch: experts, after: norm('post_ffw_norm_2') },
  ];
  return (_, output, context) => {
    const result = context.step('ffn_part', hiddenSize, 'f32');
    return parts.flatMap(({ before, branch, after: { weight, eps } }, i): OpCall[] => {
      const { calls, input } = context.input(before);
      return [
        ...calls,
        ...branch(input, { out: result, accumulate: false }, context),
        { op: 'rms_norm', x: result, weight, out: output.out, eps, accumulate: i > 0 || output.accumulate },
      ];
    });
  };
}

function readOutScale(reader: DecoderReader, layer: number): Vector | undefined {
  const tensor = `${reader.at(layer, 'layer_output_scale')}.weight`;
  return reader.tensors.has(tensor) ? reader.tensors.vector(tensor, [{ tensor, length: 1 }]) : undefined;
}

/** The layer's last branch scales the stream. */
function withOutScale(branches: readonly ResidualBranch[], outScale: Vector | undefined): Stage[] {
  return branches.map((branch, i) => [i === branches.length - 1 ? { ...branch, outScale } : branch]);
}

/** Attention of a layer; its scale is 1, because queries and keys are normalised. */
function attention(reader: DecoderReader, layer: number, ropes: { readonly full: Rope; readonly local: Rope }): Branch {
  const at = (name: string): string => reader.at(layer, name);
  const window = reader.window(layer, 1);
  const numHeads = reader.ofLayer('attention.head_count', layer);
  const numKvHeads = reader.ofLayer('attention.head_count_kv', layer, numHeads);
  const suffix = window === undefined ? '' : '_swa';
  const headDim = reader.headDim(`attention.key_length${suffix}`, `attention.value_length${suffix}`);
  const qSize = numHeads * headDim;
  const source = cacheSource(reader, layer, window !== undefined);
  const own: KvCache = { layer, numKvHeads, headDim, window };
  if (source === undefined) reader.caches.push(own);
  const cache = source === undefined ? own : reader.caches.find((known) => known.layer === source);
  if (cache?.headDim !== headDim || numHeads % cache.numKvHeads !== 0) {
    throw new InvalidFileError(`layer ${layer}'s heads do not fit the keys and values that it reads`);
  }
  const norms = source === undefined ? ['attn_q_norm', 'attn_k_norm'] : ['attn_q_norm'];
  return attentionBranch({
    qkv:
      source === undefined
        ? queriesKeysValues(reader, layer, own, qSize)
        : reader.matrix(at('attn_q'), qSize, reader.hiddenSize),
    output: reader.matrix(at('attn_output'), reader.hiddenSize, qSize),
    cache,
    queriesOnly: source !== undefined,
    numHeads,
    rope: window === undefined ? ropes.full : ropes.local,
    norm: {
      kind: 'rms',
      per: 'head',
      values: true,
      weight: reader.tensors.vector(
        at('attn_qk_norm'),
        norms.map((name) => ({ tensor: `${at(name)}.weight`, length: headDim })),
      ),
      eps: reader.positiveReal('attention.layer_norm_rms_epsilon'),
    },
    scale: 1,
    window,
  });
}

/** The layer whose cache a layer reads that has none: the last one of its kind that has. */
function cacheSource(reader: DecoderReader, layer: number, slides: boolean): number | undefined {
  const shared = optionalNumber(reader.gguf, reader.key('attention.shared_kv_layers')) ?? 0;
  const own = reader.numLayers - shared;
  if (layer < own) return undefined;
  const source = own - (slides ? 2 : 1);
  if (source < 0 || (reader.window(source, 1) !== undefined) !== slides) {
    throw new InvalidFileError(`layer ${layer} shares keys and values, and no layer before has those that it needs`);
  }
  return source;
}

function queriesKeysValues(reader: DecoderReader, layer: number, cache: KvCache, qSize: number): Projection {
  const at = (name: string): string => reader.at(layer, name);
  const kvSize = cache.numKvHeads * cache.headDim;
  const q = { tensor: at('attn_q'), rows: qSize };
  const k = { tensor: at('attn_k'), rows: kvSize };
  if (reader.tensors.has(`${at('attn_v')}.weight`)) {
    const v = { tensor: at('attn_v'), rows: kvSize };
    return readProjection(reader.tensors, at('attn_qkv'), [q, k, v], reader.hiddenSize);
  }
  // Without values of their own: keys before their norm.
  const queries = reader.matrix(q.tensor, q.rows, reader.hiddenSize);
  const keys = reader.matrix(k.tensor, k.rows, reader.hiddenSize);
  return [queries, keys, keys].flatMap((part, i) =>
    part.map((own) => ({ ...own, column: [0, qSize, qSize + kvSize][i] })),
  );
}

interface PerLayerEmbeddings {
  readonly embed: NonNullable<Decoder['embedding']['more']>;
  branch(layer: number): Branch;
}

/**
 * Every layer has an embedding of the token of its own, of `width` values: (√width · table[token] + norm(W·x)) / √2 with x the scaled
 * embedding. A layer adds proj · (gelu(gate · x) * its embedding).
 */
function readPerLayerEmbeddings(reader: DecoderReader): PerLayerEmbeddings | undefined {
  const width = reader.optional('embedding_length_per_layer_input');
  if (width === undefined) return undefined;
  const { tensors, hiddenSize, numLayers } = reader;
  const all = width * numLayers;
  const table = tensors.matrix(
    'per_layer_token_embd',
    [{ tensor: 'per_layer_token_embd.weight', rows: reader.vocabSize }],
    all,
  ).weight;
  const projection = reader.matrix('per_layer_model_proj', all, hiddenSize);
  const weight = tensors.vector('per_layer_proj_norm', [{ tensor: 'per_layer_proj_norm.weight', length: width }]);
  const eps = reader.positiveReal('attention.layer_norm_rms_epsilon');
  const inputs = (context: PlanContext): Activation => context.step('layer_inputs', all, 'f32');
  return {
    embed: (context) => {
      const projected = context.step('layer_projected', all, 'f32');
      const { lastTokens } = context.options.states;
      const embed: OpCall = { op: 'embed', table, lastTokens, out: inputs(context), scale: Math.sqrt(width / 2) };
      return [
        embed,
        ...context.linear({ x: context.x }, projection, projected, { scale: 1 / Math.sqrt(hiddenSize) }),
        { op: 'rms_norm', x: projected, weight, out: embed.out, eps, accumulate: true, scale: Math.SQRT1_2 },
      ];
    },
    branch: (layer) => {
      const gate = reader.matrix(reader.at(layer, 'inp_gate'), width, hiddenSize);
      const proj = reader.matrix(reader.at(layer, 'proj'), hiddenSize, width);
      return (input, output, context) => {
        const gated = context.step('layer_gate', width);
        const hidden = context.step('layer_hidden', width);
        const up = { tensor: inputs(context), column: layer * width };
        return [
          ...context.linear(input, gate, gated),
          { op: 'glu', x: gated, up, out: hidden, activation: 'gelu' },
          ...context.finish(hidden, proj, output),
        ];
      };
    },
  };
}
