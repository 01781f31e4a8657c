/** Small models as Hugging Face repositories: a GGUF fixture's tensors under the names and in the order that transformers stores. */
import { readFileSync } from 'node:fs';
import { decodeRow } from '../../src/formats/dequantize';
import type { Gguf, GgufTensor } from '../../src/formats/gguf/gguf';
import { readGguf } from '../../src/formats/gguf/read_gguf';
import { encodeRow } from '../../src/formats/quantize';
import type { WeightFormat } from '../../src/formats/weight_format';
import { bufferSource } from '../../src/storage/byte_source';
import { type WrittenFiles, type WrittenSafetensor, writeSafetensors } from './safetensors_writer';

export interface Checkpoint {
  /** GGUF's name without ".weight" → the checkpoint's; {l} is the layer. */
  readonly names: Readonly<Record<string, string>>;
  readonly config: Readonly<Record<string, unknown>>;
  /** q and k rows are stored in halves. */
  readonly halves?: { readonly numHeads: number; readonly numKvHeads: number };
  /** Norms are stored less 1. */
  readonly normsLessOne?: boolean;
  /** Left out: the configuration has what they hold. */
  readonly without?: RegExp;
  readonly dtype?: 'f32' | 'f16' | 'bf16';
  /** Tensors that are stored in another form: all that they become (nothing, where another one's entry has it); undefined for the rest. */
  readonly forms?: (tensor: GgufTensor, layer: string) => Readonly<Record<string, StoredForm>> | undefined;
  /** What else lies there. */
  readonly files?: WrittenFiles;
}

export interface StoredForm {
  readonly shape: readonly number[];
  /** Floats, or bytes as they are. */
  readonly values: Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;
}

export interface Fixture {
  readonly gguf: Gguf;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export async function readFixture(path: string): Promise<Fixture> {
  const bytes = new Uint8Array(readFileSync(path));
  return { gguf: await readGguf(bufferSource(bytes, path)), bytes };
}

export function valuesOf({ bytes }: { readonly bytes: Uint8Array }, tensor: GgufTensor): Float32Array<ArrayBuffer> {
  const count = tensor.shape.reduce((product, size) => product * size, 1);
  const raw = bytes.subarray(tensor.offset, tensor.offset + tensor.byteLength);
  return decodeRow(tensor.type.toLowerCase() as WeightFormat, raw, count);
}

/** model.safetensors, config.json and a tokenizer of single characters. */
export function asRepository(fixture: Fixture, checkpoint: Checkpoint): WrittenFiles {
  return {
    'config.json': JSON.stringify(checkpoint.config),
    'tokenizer.json': tokenizerJson(fixture.gguf.tensors.get('token_embd.weight')?.shape[1] ?? 0),
    'model.safetensors': writeSafetensors(storedTensors(fixture, checkpoint)),
    ...checkpoint.files,
  };
}

export function storedTensors(fixture: Fixture, checkpoint: Checkpoint): Record<string, WrittenSafetensor> {
  const { names, halves, normsLessOne, without, dtype = 'f32' } = checkpoint;
  const stored: Record<string, WrittenSafetensor> = {};
  for (const tensor of fixture.gguf.tensors.values()) {
    if (without?.test(tensor.name)) continue;
    const own = checkpoint.forms?.(tensor, /^blk\.(\d+)\./.exec(tensor.name)?.[1] ?? '');
    for (const [name, { shape, values }] of Object.entries(own ?? {})) {
      stored[name] =
        values instanceof Float32Array
          ? { dtype: dtype.toUpperCase(), shape, data: encodeRow(dtype, values) }
          : { dtype: 'U8', shape, data: values };
    }
    if (own) continue;
    const [, layer, rest, suffix] = /^(?:blk\.(\d+)\.)?(.*)\.(weight|bias)$/.exec(tensor.name) ?? [];
    const pattern = layer === undefined ? rest : `blk.{l}.${rest}`;
    const name = names[pattern];
    if (name === undefined) throw new Error(`the test has no name for ${tensor.name}`);
    let values = valuesOf(fixture, tensor);
    const which = /attn_([qk])$/.exec(pattern)?.[1];
    if (halves && which) values = inHalves(values, tensor, which === 'q' ? halves.numHeads : halves.numKvHeads);
    if (normsLessOne && pattern.endsWith('norm')) values = values.map((value) => value - 1);
    const shape = [...tensor.shape].reverse();
    // Experts, and norms of single heads, are tensors of their own there.
    const [count, one] = name.includes('{e}') ? [shape[0], shape.slice(1)] : [1, shape];
    const size = values.length / count;
    for (let i = 0; i < count; i++) {
      const own = name.replace('{l}', layer).replace('{e}', String(i));
      const data = encodeRow(dtype, values.subarray(i * size, (i + 1) * size));
      stored[`${own}.${suffix}`] = { dtype: dtype.toUpperCase(), shape: one, data };
    }
  }
  return stored;
}

/** Rows 0, 2, 4 … of each head, then 1, 3, 5 …: how transformers stores what GGUF has in pairs. */
function inHalves(values: Float32Array<ArrayBuffer>, tensor: GgufTensor, heads: number): Float32Array<ArrayBuffer> {
  const [cols, rows] = tensor.shape.length === 1 ? [1, tensor.shape[0]] : tensor.shape;
  const headRows = rows / heads;
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const head = Math.floor(row / headRows);
    const inHead = row % headRows;
    const from = head * headRows + (inHead < headRows / 2 ? 2 * inHead : 2 * (inHead - headRows / 2) + 1);
    out.set(values.subarray(from * cols, (from + 1) * cols), row * cols);
  }
  return out;
}

/** A byte-level BPE tokenizer without merges. */
export function tokenizerJson(vocabSize: number): string {
  const vocab = Object.fromEntries(
    Array.from({ length: vocabSize }, (_, id) => [id < 94 ? String.fromCharCode(33 + id) : `<${id}>`, id]),
  );
  return JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', dropout: null, unk_token: null, fuse_unk: false, byte_fallback: false, vocab, merges: [] },
  });
}

const LAYER = 'model.layers.{l}';

export const LLAMA_CHECKPOINT_NAMES: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
  'blk.{l}.attn_norm': `${LAYER}.input_layernorm`,
  'blk.{l}.attn_q': `${LAYER}.self_attn.q_proj`,
  'blk.{l}.attn_k': `${LAYER}.self_attn.k_proj`,
  'blk.{l}.attn_v': `${LAYER}.self_attn.v_proj`,
  'blk.{l}.attn_output': `${LAYER}.self_attn.o_proj`,
  'blk.{l}.ffn_norm': `${LAYER}.post_attention_layernorm`,
  'blk.{l}.ffn_gate': `${LAYER}.mlp.gate_proj`,
  'blk.{l}.ffn_up': `${LAYER}.mlp.up_proj`,
  'blk.{l}.ffn_down': `${LAYER}.mlp.down_proj`,
};

/** tests/fixtures/models/llama-gqa.gguf as a checkpoint. */
export const LLAMA_CHECKPOINT: Checkpoint = {
  names: LLAMA_CHECKPOINT_NAMES,
  halves: { numHeads: 4, numKvHeads: 2 },
  config: {
    model_type: 'llama',
    hidden_act: 'silu',
    hidden_size: 64,
    intermediate_size: 96,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 256,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: false,
    vocab_size: 512,
  },
};
