/** Models of real shape without a file: their weights are made on the GPU from a seed. For measuring speed and memory. */
import { UnsupportedModelError } from '../errors';
import { GGML_TYPES } from '../formats/gguf/ggml_types';
import type { GgufTensor, GgufValue } from '../formats/gguf/gguf';
import { BYTE_TO_CHARACTER } from '../tokenizer/byte_level';
import { TokenType } from '../tokenizer/vocabulary';
import { SYNTHETIC_PREFIX, type SyntheticModel } from './origin';
import { matrixType, SYNTHETIC_FORMATS, type SyntheticFormat } from './synthetic_formats';
import { DECODER_SHAPES, type DecoderShape } from './synthetic_shapes';

const ALIGNMENT = 32;

/**
 * The model behind `synthetic:SHAPE:FORMAT`, for example `synthetic:llama-3.2-1b:q4_0`. Every matrix is stored in the format, or
 * as the mixture has it (`q4_k_m`), or in a stand-in where the rows do not fill its blocks.
 * Throws UnsupportedModelError that lists the shapes or formats that there are.
 */
export function namedSyntheticModel(address: string): SyntheticModel {
  const [shapeName = '', formatName = '', ...rest] = address.slice(SYNTHETIC_PREFIX.length).split(':');
  const shape = Object.hasOwn(DECODER_SHAPES, shapeName) ? DECODER_SHAPES[shapeName] : undefined;
  const format = SYNTHETIC_FORMATS.find((known) => known === formatName.toLowerCase());
  if (!shape || !format || rest.length > 0) {
    const shapes = Object.keys(DECODER_SHAPES).join(', ');
    throw new UnsupportedModelError(
      `there is no "${address}": a synthetic model is synthetic:SHAPE:FORMAT with SHAPE one of ${shapes} and FORMAT one of ${SYNTHETIC_FORMATS.join(', ')}`,
      { details: { model: address } },
    );
  }
  return syntheticModel(address, shape, format);
}

/** A model of any shape. Throws UnsupportedModelError when its rows cannot be cut into the format's blocks. */
export function syntheticModel(name: string, shape: DecoderShape, format: SyntheticFormat, seed = 1): SyntheticModel {
  const tensors = placeTensors(tensorShapes(shape, format));
  const size = [...tensors.values()].reduce((end, tensor) => Math.max(end, tensor.offset + tensor.byteLength), 0);
  const metadata = new Map<string, GgufValue>([...hyperparameters(name, shape), ...vocabulary(shape.vocabSize)]);
  return { name, size, seed, gguf: { version: 3, alignment: ALIGNMENT, metadata, tensors, dataOffset: 0 } };
}

type TensorShape = Pick<GgufTensor, 'name' | 'type' | 'shape'>;

function tensorShapes(shape: DecoderShape, format: SyntheticFormat): TensorShape[] {
  const { hiddenSize, intermediateSize, vocabSize } = shape;
  const qSize = shape.numHeads * shape.headDim;
  const kvSize = shape.numKvHeads * shape.headDim;
  const matrix = (name: string, cols: number, rows: number): TensorShape => ({
    name: `${name}.weight`,
    type: matrixType(format, name, cols, shape),
    shape: [cols, rows],
  });
  const vector = (name: string, length: number): TensorShape => ({ name, type: 'F32', shape: [length] });
  const norm = (name: string): TensorShape => vector(`${name}.weight`, hiddenSize);
  const stack = (name: string, cols: number, rows: number, count: number): TensorShape => {
    const one = matrix(name, cols, rows);
    return { ...one, shape: [...one.shape, count] };
  };
  const feedForward = (layer: number): TensorShape[] => {
    const at = (name: string): string => `blk.${layer}.${name}`;
    if (!shape.experts) {
      return [
        matrix(at('ffn_gate'), hiddenSize, intermediateSize),
        matrix(at('ffn_up'), hiddenSize, intermediateSize),
        matrix(at('ffn_down'), intermediateSize, hiddenSize),
      ];
    }
    const { count, size } = shape.experts;
    return [
      // Files keep the router in full precision.
      { name: at('ffn_gate_inp.weight'), type: 'F32', shape: [hiddenSize, count] },
      stack(at('ffn_gate_exps'), hiddenSize, size, count),
      stack(at('ffn_up_exps'), hiddenSize, size, count),
      stack(at('ffn_down_exps'), size, hiddenSize, count),
    ];
  };
  const ofFamily = (layer: number): TensorShape[] => {
    const at = (name: string): string => `blk.${layer}.${name}`;
    switch (shape.architecture) {
      case 'qwen2':
        return [vector(at('attn_q.bias'), qSize), vector(at('attn_k.bias'), kvSize), vector(at('attn_v.bias'), kvSize)];
      case 'olmoe':
        return [vector(at('attn_q_norm.weight'), qSize), vector(at('attn_k_norm.weight'), kvSize)];
      case 'qwen3':
      case 'qwen3moe':
        return ['attn_q_norm.weight', 'attn_k_norm.weight'].map((name) => vector(at(name), shape.headDim));
      default:
        return [];
    }
  };
  const layers = Array.from({ length: shape.numLayers }, (_, layer) => [
    norm(`blk.${layer}.attn_norm`),
    matrix(`blk.${layer}.attn_q`, hiddenSize, qSize),
    matrix(`blk.${layer}.attn_k`, hiddenSize, kvSize),
    matrix(`blk.${layer}.attn_v`, hiddenSize, kvSize),
    matrix(`blk.${layer}.attn_output`, qSize, hiddenSize),
    norm(`blk.${layer}.ffn_norm`),
    ...feedForward(layer),
    ...ofFamily(layer),
  ]);
  return [
    matrix('token_embd', hiddenSize, vocabSize),
    ...layers.flat(),
    norm('output_norm'),
    ...(shape.tied ? [] : [matrix('output', hiddenSize, vocabSize)]),
  ];
}

function placeTensors(shapes: readonly TensorShape[]): Map<string, GgufTensor> {
  const placed = new Map<string, GgufTensor>();
  let offset = 0;
  for (const { name, type, shape } of shapes) {
    const { blockSize, blockBytes } = GGML_TYPES[type];
    if (shape[0] % blockSize !== 0) {
      throw new UnsupportedModelError(
        `rows of ${shape[0]} values ("${name}") cannot be cut into ${type}'s blocks of ${blockSize}`,
        { details: { tensor: name, type } },
      );
    }
    const byteLength = (shape.reduce((product, size) => product * size, 1) / blockSize) * blockBytes;
    placed.set(name, { name, type, shape, offset, byteLength });
    offset += Math.ceil(byteLength / ALIGNMENT) * ALIGNMENT;
  }
  return placed;
}

function hyperparameters(name: string, shape: DecoderShape): [string, GgufValue][] {
  const u32 = (key: string, value: number): [string, GgufValue] => [key, { type: 'u32', value }];
  const f32 = (key: string, value: number): [string, GgufValue] => [key, { type: 'f32', value: Math.fround(value) }];
  const { architecture = 'llama', rmsNormEps = 1e-5 } = shape;
  const key = (suffix: string): string => `${architecture}.${suffix}`;
  return [
    ['general.architecture', { type: 'string', value: architecture }],
    ['general.name', { type: 'string', value: name }],
    u32(key('block_count'), shape.numLayers),
    u32(key('context_length'), shape.contextLength),
    u32(key('embedding_length'), shape.hiddenSize),
    u32(key('feed_forward_length'), shape.intermediateSize),
    ...(shape.experts
      ? [
          u32(key('expert_count'), shape.experts.count),
          u32(key('expert_used_count'), shape.experts.used),
          u32(key('expert_feed_forward_length'), shape.experts.size),
        ]
      : []),
    u32(key('attention.head_count'), shape.numHeads),
    u32(key('attention.head_count_kv'), shape.numKvHeads),
    u32(key('attention.key_length'), shape.headDim),
    u32(key('attention.value_length'), shape.headDim),
    u32(key('rope.dimension_count'), shape.headDim),
    f32(key('rope.freq_base'), shape.ropeTheta),
    f32(key('attention.layer_norm_rms_epsilon'), rmsNormEps),
    u32(key('vocab_size'), shape.vocabSize),
  ];
}

/** A byte-level vocabulary: one token per byte, fillers, and two control tokens at the end. */
function vocabulary(size: number): [string, GgufValue][] {
  const bos = size - 2;
  const eos = size - 1;
  const text = (id: number): string => {
    if (id === bos) return '<|begin_of_text|>';
    if (id === eos) return '<|end_of_text|>';
    return BYTE_TO_CHARACTER[id] ?? `<${id}>`;
  };
  const tokens = Array.from({ length: size }, (_, id) => text(id));
  const types = new Int32Array(size).fill(TokenType.normal).fill(TokenType.control, bos);
  return [
    ['tokenizer.ggml.model', { type: 'string', value: 'gpt2' }],
    ['tokenizer.ggml.pre', { type: 'string', value: 'llama-bpe' }],
    ['tokenizer.ggml.tokens', { type: 'array', value: { itemType: 'string', items: tokens } }],
    ['tokenizer.ggml.token_type', { type: 'array', value: { itemType: 'i32', items: types } }],
    ['tokenizer.ggml.merges', { type: 'array', value: { itemType: 'string', items: [] } }],
    ['tokenizer.ggml.bos_token_id', { type: 'u32', value: bos }],
    ['tokenizer.ggml.eos_token_id', { type: 'u32', value: eos }],
  ];
}
