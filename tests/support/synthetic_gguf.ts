import { throwIfAborted } from '../../src/errors';
import type { ByteSource } from '../../src/formats/byte_source';
import { GGML_TYPES } from '../../src/formats/gguf/ggml_types';
import { randomBlocks } from '../../src/formats/random_blocks';
import { checkRange, streamByReads } from '../../src/storage/byte_source';
import { tensorBytes, type WrittenTensor, type WrittenValue, writeGgufHeader, written } from './gguf_writer';
import { seeded } from './seeded';

export interface SyntheticOptions {
  /** About how large the file is to be; sets the number of layers where `numLayers` does not. */
  readonly bytes?: number;
  readonly numLayers?: number;
  readonly hiddenSize?: number;
  readonly intermediateSize?: number;
  readonly numHeads?: number;
  readonly numKvHeads?: number;
  /** At least 259: three control tokens and the 256 bytes. */
  readonly vocabSize?: number;
  readonly contextLength?: number;
  readonly seed?: number;
}

interface PlacedTensor {
  readonly offset: number;
  readonly bytes: number;
  readonly pattern: Uint8Array<ArrayBuffer>;
}

const ALIGNMENT = 32;
/** Blocks after which a tensor's content repeats: enough to be no constant, little enough to hold. */
const PATTERN_BLOCKS = 4096;

/**
 * A valid `llama` model of any size, made as it is read: the header and one short pattern per storage type are all that it holds.
 * Matrices are q8_0, norms f32 and all ones; the vocabulary is SentencePiece's control tokens, bytes and fillers.
 */
export function syntheticGgufSource(options: SyntheticOptions = {}): ByteSource {
  const {
    bytes = 1 << 30,
    hiddenSize = 2048,
    intermediateSize = 5632,
    numHeads = 32,
    numKvHeads = 4,
    vocabSize = 512,
    contextLength = 512,
    seed = 1,
  } = options;
  const kvSize = (hiddenSize / numHeads) * numKvHeads;
  const matrix = (name: string, cols: number, rows: number): WrittenTensor => ({
    name,
    type: 'Q8_0',
    shape: [cols, rows],
  });
  const norm = (name: string): WrittenTensor => ({ name, type: 'F32', shape: [hiddenSize] });
  const layer = (i: number): WrittenTensor[] => [
    norm(`blk.${i}.attn_norm.weight`),
    matrix(`blk.${i}.attn_q.weight`, hiddenSize, hiddenSize),
    matrix(`blk.${i}.attn_k.weight`, hiddenSize, kvSize),
    matrix(`blk.${i}.attn_v.weight`, hiddenSize, kvSize),
    matrix(`blk.${i}.attn_output.weight`, hiddenSize, hiddenSize),
    norm(`blk.${i}.ffn_norm.weight`),
    matrix(`blk.${i}.ffn_gate.weight`, hiddenSize, intermediateSize),
    matrix(`blk.${i}.ffn_up.weight`, hiddenSize, intermediateSize),
    matrix(`blk.${i}.ffn_down.weight`, intermediateSize, hiddenSize),
  ];
  const sizeOf = (tensors: readonly WrittenTensor[]): number =>
    tensors.reduce((sum, { type, shape }) => sum + Math.ceil(tensorBytes(type, shape) / ALIGNMENT) * ALIGNMENT, 0);
  const shared = [matrix('token_embd.weight', hiddenSize, vocabSize), norm('output_norm.weight')];
  const numLayers = options.numLayers ?? Math.max(1, Math.round((bytes - sizeOf(shared)) / sizeOf(layer(0))));
  const tensors = [...shared, ...Array.from({ length: numLayers }, (_, i) => layer(i)).flat()];

  const metadata: [string, WrittenValue][] = [
    ['general.architecture', written.string('llama')],
    ['general.name', written.string('synthetic')],
    ['llama.context_length', written.u32(contextLength)],
    ['llama.embedding_length', written.u32(hiddenSize)],
    ['llama.block_count', written.u32(numLayers)],
    ['llama.feed_forward_length', written.u32(intermediateSize)],
    ['llama.attention.head_count', written.u32(numHeads)],
    ['llama.attention.head_count_kv', written.u32(numKvHeads)],
    ['llama.attention.layer_norm_rms_epsilon', written.f32(1e-5)],
    ['llama.rope.dimension_count', written.u32(hiddenSize / numHeads)],
    ['llama.rope.freq_base', written.f32(10000)],
    ['llama.vocab_size', written.u32(vocabSize)],
    ...vocabulary(vocabSize),
  ];
  const header = writeGgufHeader({ metadata, tensors, alignment: ALIGNMENT });
  const patterns = {
    Q8_0: randomBlocks('q8_0', PATTERN_BLOCKS * GGML_TYPES.Q8_0.blockSize, seeded(seed)),
    F32: new Uint8Array(new Float32Array(PATTERN_BLOCKS).fill(1).buffer),
  };
  const placed: PlacedTensor[] = [];
  let end = header.length;
  for (const tensor of tensors) {
    const bytes = tensorBytes(tensor.type, tensor.shape);
    placed.push({ offset: end, bytes, pattern: patterns[tensor.type as keyof typeof patterns] });
    end += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
  }

  const make = (offset: number, out: Uint8Array): void => {
    if (offset < header.length) out.set(header.subarray(offset, offset + out.length));
    for (const tensor of placed) fill(out, offset, tensor);
  };
  const source: ByteSource = {
    name: 'synthetic.gguf',
    size: end,
    async read(offset, length, signal) {
      throwIfAborted(signal);
      checkRange(source, offset, length);
      const out = new Uint8Array(length);
      make(offset, out);
      return out;
    },
    stream(offset, length, signal) {
      return streamByReads(source, offset, length, signal);
    },
    readSync(offset, into) {
      checkRange(source, offset, into.length);
      into.fill(0);
      make(offset, into);
    },
  };
  return source;
}

/** Writes the part of a tensor that lies in [offset, offset + out.length). */
function fill(out: Uint8Array, offset: number, tensor: PlacedTensor): void {
  const { pattern } = tensor;
  const end = Math.min(tensor.offset + tensor.bytes, offset + out.length);
  for (let at = Math.max(tensor.offset, offset); at < end; ) {
    const phase = (at - tensor.offset) % pattern.length;
    const piece = pattern.subarray(phase, phase + end - at);
    out.set(piece, at - offset);
    at += piece.length;
  }
}

function vocabulary(size: number): [string, WrittenValue][] {
  const NORMAL = 1;
  const UNKNOWN = 2;
  const CONTROL = 3;
  const BYTE = 6;
  const tokens = ['<unk>', '<s>', '</s>'];
  const types = [UNKNOWN, CONTROL, CONTROL];
  for (let byte = 0; byte < 256; byte++) {
    tokens.push(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    types.push(BYTE);
  }
  for (let i = tokens.length; i < size; i++) {
    tokens.push(`▁w${i}`);
    types.push(NORMAL);
  }
  return [
    ['tokenizer.ggml.model', written.string('llama')],
    ['tokenizer.ggml.tokens', written.array('string', tokens)],
    [
      'tokenizer.ggml.scores',
      written.array(
        'f32',
        tokens.map((_, i) => -i),
      ),
    ],
    ['tokenizer.ggml.token_type', written.array('i32', types)],
    ['tokenizer.ggml.bos_token_id', written.u32(1)],
    ['tokenizer.ggml.eos_token_id', written.u32(2)],
    ['tokenizer.ggml.unknown_token_id', written.u32(0)],
  ];
}
