/**
 * The llama family (Touvron et al. 2023; Grattafiori et al. 2024): Llama 2 and 3, Mistral, TinyLlama, SmolLM2 and their kin.
 * RMSNorm → grouped-query attention with interleaved RoPE → residual → RMSNorm → SwiGLU → residual; tied or untied output.
 */
import { InvalidFileError, UnsupportedModelError } from '../../errors';
import { type Gguf, optionalNumber, optionalString } from '../../formats/gguf/gguf';
import type { OpCall } from '../../ops/calls';
import type { Activation, KvCache, RowBucket, Vector, Weight } from '../../ops/op';
import { buildRopeTable } from '../../ops/rope_table';
import { planeBytes } from '../../ops/weights/layout';
import { expectAbsentOr, positive, positiveReal } from '../hyperparameters';
import type { ModelSpec, PlanOptions } from '../model_spec';
import { TensorTable } from '../tensor_table';

/** Rows up to which a step is memory bound: norms and SwiGLU fold into the matmuls (docs/kernels/linear.md). */
const SMALL_STEP_ROWS = 16;

interface Config {
  readonly numLayers: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  readonly ropeDims: number;
  readonly ropeTheta: number;
  readonly ropeScale: number;
  readonly rmsNormEps: number;
  readonly trainedContextLength: number;
}

/** A projection: one fused weight, or several that write side by side because their storage types differ. */
type Projection = readonly { readonly weight: Weight; readonly column: number; readonly bias?: Vector }[];

interface Layer {
  readonly attentionNorm: Vector;
  readonly qkv: Projection;
  readonly output: Projection;
  readonly ffnNorm: Vector;
  readonly gateUp: Projection;
  readonly down: Projection;
  readonly cache: KvCache;
}

function readConfig(gguf: Gguf, tensors: TensorTable): Config {
  const hiddenSize = positive(gguf, 'llama.embedding_length');
  const numHeads = positive(gguf, 'llama.attention.head_count');
  const numKvHeads = positive(gguf, 'llama.attention.head_count_kv', numHeads);
  const headDim = positive(gguf, 'llama.attention.key_length', hiddenSize / numHeads);
  const valueDim = positive(gguf, 'llama.attention.value_length', headDim);
  const ropeDims = positive(gguf, 'llama.rope.dimension_count', headDim);
  if (numHeads % numKvHeads !== 0) {
    throw new InvalidFileError(`llama.attention.head_count ${numHeads} is no multiple of head_count_kv ${numKvHeads}`);
  }
  if (valueDim !== headDim) {
    throw new UnsupportedModelError(`llama.attention.value_length ${valueDim} differs from key_length ${headDim}`);
  }
  if (headDim % 4 !== 0 || headDim > 256) {
    throw new UnsupportedModelError(`a head size of ${headDim} is not supported (a multiple of 4 up to 256 is)`);
  }
  if (ropeDims > headDim || ropeDims % 2 !== 0) {
    throw new InvalidFileError(`llama.rope.dimension_count is ${ropeDims}, expected an even number up to ${headDim}`);
  }
  const intermediateSize = positive(gguf, 'llama.feed_forward_length');
  for (const [key, size] of [
    ['llama.embedding_length', hiddenSize],
    ['llama.feed_forward_length', intermediateSize],
  ] as const) {
    if (size % 4 !== 0) throw new UnsupportedModelError(`${key} ${size} is not supported (a multiple of 4 is)`);
  }
  expectAbsentOr(gguf, 'llama.rope.scaling.type', ['none', 'linear']);
  const linear = optionalString(gguf, 'llama.rope.scaling.type') === 'linear';
  expectAbsentOr(gguf, 'llama.expert_count', [0]);
  return {
    numLayers: positive(gguf, 'llama.block_count'),
    hiddenSize,
    intermediateSize,
    numHeads,
    numKvHeads,
    headDim,
    vocabSize: tensors.rowsOf('token_embd.weight'),
    ropeDims,
    ropeTheta: positiveReal(gguf, 'llama.rope.freq_base', 10000),
    ropeScale: linear
      ? positiveReal(gguf, 'llama.rope.scaling.factor', 1)
      : (optionalNumber(gguf, 'llama.rope.scale_linear') ?? 1),
    rmsNormEps: positiveReal(gguf, 'llama.attention.layer_norm_rms_epsilon'),
    trainedContextLength: positive(gguf, 'llama.context_length'),
  };
}

/** One fused weight where the storage types agree and `fuse` allows it; otherwise one weight per tensor, side by side. */
function projection(
  tensors: TensorTable,
  name: string,
  parts: readonly { readonly tensor: string; readonly rows: number }[],
  cols: number,
  fuse: (bytes: number) => boolean = () => true,
): Projection {
  const biasName = (tensor: string) => tensor.replace(/weight$/, 'bias');
  const bias = (label: string, list: typeof parts): Vector | undefined => {
    const present = list.filter((part) => tensors.has(biasName(part.tensor)));
    if (present.length === 0) return undefined;
    return tensors.vector(
      label,
      list.map((part) => ({ tensor: biasName(part.tensor), length: part.rows })),
    );
  };
  const formats = parts.map((part) => tensors.formatOf(part.tensor));
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  if (formats.every((format) => format === formats[0]) && fuse(planeBytes(formats[0], rows, cols).quants)) {
    return [{ weight: tensors.matrix(name, parts, cols).weight, column: 0, bias: bias(`${name}.bias`, parts) }];
  }
  let column = 0;
  return parts.map((part) => {
    const weight = tensors.matrix(part.tensor, [part], cols).weight;
    const own = { weight, column, bias: bias(biasName(part.tensor), [part]) };
    column += part.rows;
    return own;
  });
}

/**
 * Reads a llama-architecture file. `contextLength` sizes the RoPE table, `maxBindingBytes` decides whether gate and up are fused.
 * Throws InvalidFileError or UnsupportedModelError naming the key or tensor.
 */
export function readLlama(gguf: Gguf, contextLength: number, maxBindingBytes: number): ModelSpec {
  const tensors = new TensorTable(gguf);
  const config = readConfig(gguf, tensors);
  const { hiddenSize, intermediateSize, numHeads, numKvHeads, headDim } = config;
  const qSize = numHeads * headDim;
  const kvSize = numKvHeads * headDim;

  const table = tensors.matrix(
    'token_embd',
    [{ tensor: 'token_embd.weight', rows: config.vocabSize }],
    hiddenSize,
  ).weight;
  const layers = Array.from({ length: config.numLayers }, (_, layer): Layer => {
    const at = (name: string) => `blk.${layer}.${name}`;
    return {
      attentionNorm: tensors.vector(at('attn_norm'), [{ tensor: at('attn_norm.weight'), length: hiddenSize }]),
      qkv: projection(
        tensors,
        at('attn_qkv'),
        [
          { tensor: at('attn_q.weight'), rows: qSize },
          { tensor: at('attn_k.weight'), rows: kvSize },
          { tensor: at('attn_v.weight'), rows: kvSize },
        ],
        hiddenSize,
      ),
      output: projection(tensors, at('attn_output'), [{ tensor: at('attn_output.weight'), rows: hiddenSize }], qSize),
      ffnNorm: tensors.vector(at('ffn_norm'), [{ tensor: at('ffn_norm.weight'), length: hiddenSize }]),
      gateUp: projection(
        tensors,
        at('ffn_gate_up'),
        [
          { tensor: at('ffn_gate.weight'), rows: intermediateSize },
          { tensor: at('ffn_up.weight'), rows: intermediateSize },
        ],
        hiddenSize,
        (bytes) => bytes <= maxBindingBytes,
      ),
      down: projection(
        tensors,
        at('ffn_down'),
        [{ tensor: at('ffn_down.weight'), rows: hiddenSize }],
        intermediateSize,
      ),
      cache: { layer, numKvHeads, headDim },
    };
  });
  const outputNorm = tensors.vector('output_norm', [{ tensor: 'output_norm.weight', length: hiddenSize }]);
  // Tied output: the embedding table serves twice.
  const head = tensors.has('output.weight')
    ? tensors.matrix('output', [{ tensor: 'output.weight', rows: config.vocabSize }], hiddenSize).weight
    : table;
  const rope = {
    ropeDims: config.ropeDims,
    base: config.ropeTheta,
    contextLength,
    positionScale: 1 / config.ropeScale,
  };
  const ropeTable = tensors.computed(
    'rope_table',
    buildRopeTable(rope).length,
    tensors.has('rope_freqs.weight') ? { tensor: 'rope_freqs.weight', length: config.ropeDims / 2 } : undefined,
    (factors) => buildRopeTable({ ...rope, frequencyFactors: factors.length > 0 ? factors : undefined }),
  );
  tensors.finish();

  return {
    architecture: 'llama',
    vocabSize: config.vocabSize,
    hiddenSize,
    numLayers: config.numLayers,
    trainedContextLength: config.trainedContextLength,
    weights: tensors.weights,
    vectors: tensors.vectors,
    caches: layers.map((layer) => layer.cache),
    plan: (bucket, options) => plan({ config, table, layers, outputNorm, head, ropeTable }, bucket, options),
  };
}

interface Llama {
  readonly config: Config;
  readonly table: Weight;
  readonly layers: readonly Layer[];
  readonly outputNorm: Vector;
  readonly head: Weight;
  readonly ropeTable: Vector;
}

function plan(model: Llama, bucket: RowBucket, { activationType, states }: PlanOptions): OpCall[] {
  const { config } = model;
  const eps = config.rmsNormEps;
  const small = bucket.maxRows <= SMALL_STEP_ROWS;
  const step = (name: string, cols: number, type = activationType): Activation => ({ name, cols, rows: 'step', type });
  // The residual stream stays in f32: it is small, and the sums of many layers live in it.
  const x = step('x', config.hiddenSize, 'f32');
  const normed = step('normed', config.hiddenSize);
  const qSize = config.numHeads * config.headDim;
  const qkv = step('qkv', qSize + 2 * config.numKvHeads * config.headDim);
  const q = step('q', qSize);
  const attended = step('attended', qSize);
  const gateUp = step('gate_up', 2 * config.intermediateSize);
  const hidden = step('hidden', config.intermediateSize);
  const logits: Activation = { name: 'logits', cols: config.vocabSize, rows: 'sampled', type: 'f32' };
  const { lastTokens, samples, counts, bias } = states;

  /** out = W·norm(x): the norm folds into the matmul in small steps and is a call of its own in large ones. */
  const normedLinear = (weights: Projection, norm: Vector, out: Activation, epilogue: 'none' | 'swiglu'): OpCall[] => {
    const linears = weights.map(
      (part): OpCall => ({
        op: 'linear',
        x: small ? x : normed,
        weight: part.weight,
        out,
        outColumn: part.column,
        norm: small ? { weight: norm, eps } : undefined,
        bias: part.bias,
        accumulate: false,
        epilogue,
      }),
    );
    return small ? linears : [{ op: 'rms_norm', x, weight: norm, out: normed, eps }, ...linears];
  };
  const addLinear = (input: Activation, weights: Projection): OpCall[] =>
    weights.map((part) => ({
      op: 'linear',
      x: input,
      weight: part.weight,
      out: x,
      outColumn: part.column,
      bias: part.bias,
      accumulate: true,
      epilogue: 'none',
    }));

  const layerCalls = (layer: Layer): OpCall[] => {
    const fusedSwiglu = small && layer.gateUp.length === 1 && layer.gateUp[0].bias === undefined;
    return [
      ...normedLinear(layer.qkv, layer.attentionNorm, qkv, 'none'),
      {
        op: 'rope_kv',
        qkv,
        q,
        cache: layer.cache,
        numHeads: config.numHeads,
        table: model.ropeTable,
        ropeDims: config.ropeDims,
        pairing: 'interleaved',
      },
      {
        op: 'attention',
        q,
        cache: layer.cache,
        out: attended,
        numHeads: config.numHeads,
        scale: 1 / Math.sqrt(config.headDim),
      },
      ...addLinear(attended, layer.output),
      ...(fusedSwiglu
        ? normedLinear(layer.gateUp, layer.ffnNorm, hidden, 'swiglu')
        : [
            ...normedLinear(layer.gateUp, layer.ffnNorm, gateUp, 'none'),
            { op: 'swiglu', x: gateUp, out: hidden } as const,
          ]),
      ...addLinear(hidden, layer.down),
    ];
  };

  return [
    { op: 'embed', table: model.table, lastTokens, out: x, scale: 1 },
    ...model.layers.flatMap(layerCalls),
    {
      op: 'linear',
      x,
      weight: model.head,
      out: logits,
      outColumn: 0,
      norm: { weight: model.outputNorm, eps },
      accumulate: false,
      epilogue: 'none',
    },
    { op: 'argmax', logits, lastTokens, samples },
    { op: 'sample', logits, lastTokens, counts, bias, samples },
  ];
}
