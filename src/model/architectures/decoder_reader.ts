import { InvalidFileError, InvalidOptionError, UnsupportedModelError } from '../../errors';
import { type Gguf, optionalNumber, optionalNumberArray } from '../../formats/gguf/gguf';
import type { ActivationFunction, QkNorm } from '../../ops/calls';
import type { KvCache, Vector, Weight } from '../../ops/op';
import { architectureOf, expectAbsentOr, positive, positiveReal } from '../hyperparameters';
import type { ModelSpec } from '../model_spec';
import { TensorTable } from '../tensor_table';
import { type Attention, attentionBranch, type GatedFfn, gatedFfnBranch, plainFfnBranch } from './branches';
import { type Branch, type Decoder, decoderSpec, type PoolHead } from './decoder';
import type { LayerNorm, RmsNorm } from './plan_context';
import { type Projection, readProjection } from './projection';
import { localRope, type Rope, readRope } from './rope';

const MAX_HEAD_DIM = 512;

/** Architectures whose files may have blocks that guess further tokens behind their layers. */
const WITH_PREDICTORS: readonly string[] = ['qwen35', 'qwen35moe', 'qwen3next'];

/** Sizes of a layer's attention. */
export interface HeadSizes {
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
}

/** RMS norms of heads with shared weights, or of whole projections; or layer norms of heads with weights of their own. */
type QkNormOf = QkNorm['per'] | 'each head';

interface AttentionOptions
  extends Partial<Omit<Attention, 'qkv' | 'output' | 'cache' | 'queriesOnly' | 'numHeads' | 'norm'>> {
  /** The file has `attn_q_norm` and `attn_k_norm`: of each head, or of the whole projection. */
  readonly qkNorm?: QkNormOf;
}

/**
 * Reads a decoder's metadata (keys without the architecture's prefix) and tensors (names without ".weight"), as most families name them.
 * Everything throws InvalidFileError or UnsupportedModelError that names the key or the tensor.
 */
export class DecoderReader {
  readonly architecture: string;
  readonly tensors: TensorTable;
  readonly numLayers: number;
  /** Blocks behind the layers that guess further tokens: they are not run. */
  private readonly predictors: number;
  readonly hiddenSize: number;
  readonly vocabSize: number;
  /** The KV caches of the layers that have one of their own. */
  readonly caches: KvCache[] = [];

  /** `contextLength` sizes the RoPE tables, `maxBindingBytes` decides whether gate and up are fused. */
  constructor(
    readonly gguf: Gguf,
    readonly contextLength: number,
    readonly maxBindingBytes: number,
  ) {
    this.architecture = architectureOf(gguf);
    this.tensors = new TensorTable(gguf);
    const blocks = this.positive('block_count');
    const predictors = this.key('nextn_predict_layers');
    if (!WITH_PREDICTORS.includes(this.architecture)) expectAbsentOr(gguf, predictors, [0]);
    this.predictors = optionalNumber(gguf, predictors) ?? 0;
    this.numLayers = blocks - this.predictors;
    if (!Number.isSafeInteger(this.numLayers) || this.numLayers < 1 || this.predictors < 0) {
      throw new InvalidFileError(`${predictors} is ${this.predictors}, of ${blocks} blocks`);
    }
    // A layer has at least one tensor: nothing is made for each of a billion layers that are not there.
    if (this.numLayers > gguf.tensors.size) {
      throw new InvalidFileError(
        `${this.key('block_count')} is ${this.numLayers}, the file has ${gguf.tensors.size} tensors`,
      );
    }
    this.hiddenSize = this.quads('embedding_length', this.positive('embedding_length'));
    this.vocabSize = this.tensors.rowsOf('token_embd.weight');
  }

  key(name: string): string {
    return `${this.architecture}.${name}`;
  }

  positive(name: string, fallback?: number): number {
    return positive(this.gguf, this.key(name), fallback);
  }

  positiveReal(name: string, fallback?: number): number {
    return positiveReal(this.gguf, this.key(name), fallback);
  }

  /** A number greater than zero; absent where the file says nothing, or 0. */
  optional(name: string): number | undefined {
    return optionalNumber(this.gguf, this.key(name)) === 0 ? undefined : this.optionalReal(name);
  }

  private optionalReal(name: string): number | undefined {
    return this.gguf.metadata.has(this.key(name)) ? this.positiveReal(name) : undefined;
  }

  /** A positive integer of a layer: the key holds one for all layers, or a list. */
  ofLayer(name: string, layer: number, fallback?: number): number {
    if (this.gguf.metadata.get(this.key(name))?.type !== 'array') return this.positive(name, fallback);
    const list = optionalNumberArray(this.gguf, this.key(name));
    if (list?.length !== this.numLayers) {
      throw new InvalidFileError(`${this.key(name)} has ${list?.length ?? 0} values for ${this.numLayers} layers`);
    }
    if (!Number.isSafeInteger(list[layer]) || list[layer] <= 0) {
      throw new InvalidFileError(`${this.key(name)}[${layer}] is ${list[layer]}, expected a positive integer`);
    }
    return list[layer];
  }

  /** `blk.LAYER.NAME`. */
  at(layer: number, name: string): string {
    return `blk.${layer}.${name}`;
  }

  /** `count` items, each made of its layer's index. */
  layers<T>(make: (layer: number) => T): T[] {
    return Array.from({ length: this.numLayers }, (_, layer) => make(layer));
  }

  rmsNorm(name: string): RmsNorm {
    const weight = this.tensors.vector(name, [{ tensor: `${name}.weight`, length: this.hiddenSize }]);
    return { kind: 'rms', weight, eps: this.positiveReal('attention.layer_norm_rms_epsilon') };
  }

  /** With the bias that stands beside it, if any. */
  layerNorm(name: string): LayerNorm {
    const vector = (part: string) =>
      this.tensors.vector(`${name}.${part}`, [{ tensor: `${name}.${part}`, length: this.hiddenSize }]);
    const bias = this.tensors.has(`${name}.bias`) ? vector('bias') : undefined;
    return { kind: 'layer', weight: vector('weight'), bias, eps: this.positiveReal('attention.layer_norm_epsilon') };
  }

  /** Learned positions, one for each that the context has. */
  positions(name = 'position_embd'): Vector {
    const { hiddenSize, tensors, contextLength } = this;
    const count = tensors.rowsOf(`${name}.weight`);
    this.checkPositions(count);
    const shape = [hiddenSize, count];
    return tensors.computedFrom(name, contextLength * hiddenSize, [{ tensor: `${name}.weight`, shape }], (values) =>
      values.slice(0, contextLength * hiddenSize),
    );
  }

  /** Throws when the context is longer than the positions that the model has learned. */
  checkPositions(count: number): void {
    if (this.contextLength <= count) return;
    throw new InvalidOptionError(
      'contextLength',
      `${this.contextLength} is more than the ${count} positions that this model has learned`,
    );
  }

  /** `headDim`: where the first layer has no heads. */
  rope(pairing: Rope['pairing'], headDim = this.heads(0).headDim): Rope {
    const { architecture, contextLength } = this;
    return readRope(this.gguf, this.tensors, { architecture, contextLength, pairing, headDim });
  }

  /** The rotation of sliding layers: the file's base for them (`rope.freq_base_swa`) or `base`, without scaling. */
  localRope(pairing: Rope['pairing'], base: number, attentionFactor = 1): Rope {
    const shared = this.positive('rope.dimension_count', this.heads(0).headDim);
    const dims = this.positive('rope.dimension_count_swa', shared);
    const local = { base: this.positiveReal('rope.freq_base_swa', base), pairing, dims, attentionFactor };
    return localRope(this.tensors, local, this.contextLength);
  }

  /**
   * The window of a layer, or undefined where it sees everything: of each `period` layers all but the last slide, unless the file has a
   * pattern of its own.
   */
  window(layer: number, period: number, fallback?: number): number | undefined {
    const named = this.optional('attention.sliding_window') ?? fallback;
    // Wider than any context is as wide as it gets.
    const window = named === undefined ? undefined : Math.min(named, 2 ** 31);
    const key = this.key('attention.sliding_window_pattern');
    const pattern = this.gguf.metadata.get(key);
    if (window === undefined) return undefined;
    if (!Number.isSafeInteger(window)) {
      throw new InvalidFileError(`${this.key('attention.sliding_window')} is ${window}, expected an integer`);
    }
    if (pattern?.type !== 'array') {
      const every = this.positive('attention.sliding_window_pattern', period);
      return layer % every < every - 1 ? window : undefined;
    }
    const slides = [...pattern.value.items];
    if (slides.length !== this.numLayers) {
      throw new InvalidFileError(`${key} has ${slides.length} values for ${this.numLayers} layers`);
    }
    return slides[layer] ? window : undefined;
  }

  heads(layer: number): HeadSizes {
    const numHeads = this.ofLayer('attention.head_count', layer);
    const numKvHeads = this.ofLayer('attention.head_count_kv', layer, numHeads);
    const headDim = this.headDim('attention.key_length', 'attention.value_length', this.hiddenSize / numHeads);
    if (numHeads % numKvHeads !== 0) {
      throw new InvalidFileError(
        `${this.key('attention.head_count')} ${numHeads} is no multiple of head_count_kv ${numKvHeads}`,
      );
    }
    return { numHeads, numKvHeads, headDim };
  }

  /** One matrix [rows, cols] with its bias, if any. */
  matrix(name: string, rows: number, cols: number): Projection {
    return readProjection(this.tensors, name, [{ tensor: name, rows }], cols);
  }

  /** Attention of a layer: `attn_q`, `attn_k` and `attn_v`, or all of them in `attn_qkv`; `attn_output`. */
  attention(layer: number, options: AttentionOptions): Branch {
    const { qkNorm, scale, ...rest } = options;
    const { numHeads, numKvHeads, headDim } = this.heads(layer);
    const qSize = numHeads * headDim;
    const kvSize = numKvHeads * headDim;
    const at = (name: string): string => this.at(layer, name);
    for (const name of ['key', 'value']) expectAbsentOr(this.gguf, this.key(`attention.${name}_length_swa`), [headDim]);
    const window = options.mask === 'full' ? undefined : options.window;
    const cache = { layer, numKvHeads, headDim, window };
    this.caches.push(cache);
    const separate = [
      { tensor: at('attn_q'), rows: qSize },
      { tensor: at('attn_k'), rows: kvSize },
      { tensor: at('attn_v'), rows: kvSize },
    ];
    const fused = [{ tensor: at('attn_qkv'), rows: qSize + 2 * kvSize }];
    const parts = this.tensors.has(`${at('attn_qkv')}.weight`) ? fused : separate;
    return attentionBranch({
      ...rest,
      scale: scale ?? 1 / Math.sqrt(headDim),
      numHeads,
      cache,
      qkv: readProjection(this.tensors, at('attn_qkv'), parts, this.hiddenSize),
      output: this.matrix(at('attn_output'), this.hiddenSize, qSize),
      norm: qkNorm && this.qkNorm(layer, qkNorm),
    });
  }

  /** Gated feed-forward network of a layer: `ffn_gate`, `ffn_up`, `ffn_down`; with `fused`, gate and up are both in `ffn_up`. */
  gatedFfn(layer: number, activation: GatedFfn['activation'], fused = false): Branch {
    const size = this.intermediateSize(layer);
    const at = (name: string): string => this.at(layer, name);
    const gateUp = fused
      ? [{ tensor: at('ffn_up'), rows: 2 * size }]
      : ['ffn_gate', 'ffn_up'].map((name) => ({ tensor: at(name), rows: size }));
    return gatedFfnBranch({
      gateUp: readProjection(this.tensors, at('ffn_gate_up'), gateUp, this.hiddenSize, this.maxBindingBytes),
      down: this.matrix(at('ffn_down'), this.hiddenSize, size),
      activation,
    });
  }

  /** Feed-forward network without a gate: `ffn_up`, `ffn_down`. */
  plainFfn(layer: number, activation: ActivationFunction): Branch {
    const size = this.intermediateSize(layer);
    return plainFfnBranch({
      up: this.matrix(this.at(layer, 'ffn_up'), size, this.hiddenSize),
      down: this.matrix(this.at(layer, 'ffn_down'), this.hiddenSize, size),
      activation,
    });
  }

  embeddingTable(): Weight {
    return this.table('token_embd');
  }

  /** The embedding table, which serves twice where there is no `output` (tied). */
  tables(): { readonly table: Weight; readonly output: Weight } {
    const table = this.embeddingTable();
    return { table, output: this.tensors.has('output.weight') ? this.table('output') : table };
  }

  /** The finished model: an embedding, the given layers and the output head. Every tensor of the file must have been read by then. */
  finish(parts: Pick<Decoder, 'layers' | 'head' | 'embedding' | 'recurrent'>): ModelSpec {
    const pool = 'pool' in parts.head ? undefined : this.pooling();
    if (pool) return this.finish({ ...parts, head: { norm: parts.head.norm, pool, dense: this.poolDense() } });
    // Heads that predict further tokens come after the layers, and are not run.
    const last = this.numLayers + this.predictors;
    this.tensors.finish((name) => {
      const layer = Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1);
      return layer >= this.numLayers && layer < last;
    });
    const { architecture, caches } = this;
    const trainedContextLength = this.positive('context_length');
    return decoderSpec({ architecture, trainedContextLength, caches, ...parts }, this.tensors);
  }

  /** A head size that keys and values share. */
  headDim(keyName: string, valueName: string, fallback?: number): number {
    const headDim = this.positive(keyName, fallback);
    const valueDim = this.positive(valueName, headDim);
    if (valueDim !== headDim) {
      throw new UnsupportedModelError(`${this.key(valueName)} ${valueDim} differs from ${keyName} ${headDim}`);
    }
    if (headDim % 4 !== 0 || headDim > MAX_HEAD_DIM) {
      throw new UnsupportedModelError(
        `a head size of ${headDim} is not supported (a multiple of 4 up to ${MAX_HEAD_DIM} is)`,
      );
    }
    return headDim;
  }

  private table(name: string): Weight {
    return this.tensors.matrix(name, [{ tensor: `${name}.weight`, rows: this.vocabSize }], this.hiddenSize).weight;
  }

  /** How a model for embeddings makes one vector of its rows; undefined where the file names no pooling: then it predicts tokens. */
  pooling(): PoolHead['pool'] | undefined {
    const type = optionalNumber(this.gguf, this.key('pooling_type')) ?? 0;
    if (type === 0) return undefined;
    const kind = ([undefined, 'mean', 'first', 'last'] as const)[type];
    if (!kind) throw new UnsupportedModelError(`${this.key('pooling_type')} = ${type} is not supported`);
    return kind;
  }

  /** Matmuls that some files have behind the pooling. */
  private poolDense(): Weight[] {
    let cols = this.hiddenSize;
    return ['dense_2', 'dense_3'].flatMap((name) => {
      if (!this.tensors.has(`${name}.weight`)) return [];
      const rows = this.tensors.rowsOf(`${name}.weight`);
      const { weight } = this.tensors.matrix(name, [{ tensor: `${name}.weight`, rows }], cols);
      cols = rows;
      return [weight];
    });
  }

  qkNorm(layer: number, of: QkNormOf): QkNorm {
    const { numHeads, numKvHeads, headDim } = this.heads(layer);
    if (of === 'each head') {
      const weight = this.tensors.computedFrom(
        this.at(layer, 'attn_qk_norm'),
        (numHeads + numKvHeads) * headDim,
        [
          { tensor: this.at(layer, 'attn_q_norm.weight'), shape: [headDim, numHeads] },
          { tensor: this.at(layer, 'attn_k_norm.weight'), shape: [headDim, numKvHeads] },
        ],
        (values) => values,
      );
      return { kind: 'layer', per: 'head', weight, eps: this.positiveReal('attention.layer_norm_epsilon') };
    }
    const per = of;
    const [qLength, kLength] = per === 'head' ? [headDim, headDim] : [numHeads * headDim, numKvHeads * headDim];
    const weight = this.tensors.vector(this.at(layer, 'attn_qk_norm'), [
      { tensor: this.at(layer, 'attn_q_norm.weight'), length: qLength },
      { tensor: this.at(layer, 'attn_k_norm.weight'), length: kLength },
    ]);
    return { kind: 'rms', per, weight, eps: this.positiveReal('attention.layer_norm_rms_epsilon') };
  }

  private intermediateSize(layer: number): number {
    return this.quads('feed_forward_length', this.ofLayer('feed_forward_length', layer));
  }

  /** Kernels read four values at a time. */
  private quads(name: string, size: number): number {
    if (size % 4 !== 0) {
      throw new UnsupportedModelError(`${this.key(name)} ${size} is not supported (a multiple of 4 is)`);
    }
    return size;
  }
}
