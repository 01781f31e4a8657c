/** What tests of checkpoints share: configurations from a GGUF fixture's metadata, and a comparison of the two. */
import { expect } from 'vitest';
import { type GgufTensor, getString } from '../../src/formats/gguf/gguf';
import type { DescribedSource } from '../../src/formats/model_files';
import { openModelFile } from '../../src/formats/open_model_file';
import { type Fixture, valuesOf } from './hugging_face';
import { memoryFolder, type WrittenFiles } from './safetensors_writer';

export const LAYER = 'model.layers.{l}';
export const QK_NORMS = {
  'blk.{l}.attn_q_norm': `${LAYER}.self_attn.q_norm`,
  'blk.{l}.attn_k_norm': `${LAYER}.self_attn.k_norm`,
};
export const AROUND = {
  'blk.{l}.post_attention_norm': `${LAYER}.post_attention_layernorm`,
  'blk.{l}.ffn_norm': `${LAYER}.pre_feedforward_layernorm`,
  'blk.{l}.post_ffw_norm': `${LAYER}.post_feedforward_layernorm`,
};

export function numberOf(fixture: Fixture, key: string): number {
  const architecture = getString(fixture.gguf, 'general.architecture');
  return Number(fixture.gguf.metadata.get(`${architecture}.${key}`)?.value);
}

/** What every configuration says, taken from the GGUF file. */
export function sizes(fixture: Fixture): Record<string, unknown> {
  const n = (key: string) => numberOf(fixture, key);
  return {
    hidden_act: 'silu',
    hidden_size: n('embedding_length'),
    intermediate_size: n('feed_forward_length'),
    num_hidden_layers: n('block_count'),
    num_attention_heads: n('attention.head_count'),
    num_key_value_heads: n('attention.head_count_kv'),
    max_position_embeddings: n('context_length'),
    rms_norm_eps: n('attention.layer_norm_rms_epsilon'),
    layer_norm_eps: n('attention.layer_norm_epsilon'),
    norm_epsilon: n('attention.layer_norm_epsilon'),
    rope_theta: n('rope.freq_base'),
    head_dim: n('attention.key_length') || n('rope.dimension_count'),
    tie_word_embeddings: !fixture.gguf.tensors.has('output.weight'),
  };
}

export const heads = (fixture: Fixture) => ({
  numHeads: numberOf(fixture, 'attention.head_count'),
  numKvHeads: numberOf(fixture, 'attention.head_count_kv'),
});

export async function openRepository(files: WrittenFiles, path = 'model.safetensors'): Promise<DescribedSource> {
  return (await openModelFile(memoryFolder(files, 'owner/tiny'), path)) as DescribedSource;
}

export interface Differences {
  /** Keys that this family's converter writes and the fixture does not, or the other way round. */
  readonly keys?: RegExp;
  /** Tensors that are there in another form. */
  readonly tensors?: RegExp;
  /** Largest difference of a value, for tensors that are computed with. */
  readonly tolerance?: (name: string) => number;
}

/** Metadata, names, shapes and values of a checkpoint are those of the GGUF file that it was written from. */
export async function expectSameModel(
  fixture: Fixture,
  source: DescribedSource,
  { keys, tensors, tolerance = (name) => (/norm/.test(name) ? 2e-7 : 0) }: Differences = {},
): Promise<void> {
  for (const [key, value] of fixture.gguf.metadata) {
    // The vocabulary's size is the embedding's; the tokenizer is tokenizer.json.
    if (/^tokenizer\.|^general\.(?!architecture)|\.vocab_size$|quantization_version/.test(key) || keys?.test(key))
      continue;
    expect(plain(source.gguf.metadata.get(key)), key).toEqual(plain(value));
  }
  const compared = (names: Iterable<string>) => [...names].filter((name) => !tensors?.test(name)).sort();
  expect(compared(source.gguf.tensors.keys())).toEqual(compared(fixture.gguf.tensors.keys()));
  for (const tensor of fixture.gguf.tensors.values()) {
    if (tensors?.test(tensor.name)) continue;
    const found = source.gguf.tensors.get(tensor.name) as GgufTensor;
    expect(found.shape, tensor.name).toEqual(tensor.shape);
    const values = await valuesIn(source, tensor.name);
    const expected = valuesOf(fixture, tensor);
    const furthest = values.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
    // A norm less 1, and 1 added again, is rounded twice.
    expect(furthest, tensor.name).toBeLessThanOrEqual(tolerance(tensor.name));
  }
}

export async function valuesIn(source: DescribedSource, name: string): Promise<Float32Array<ArrayBuffer>> {
  const found = source.gguf.tensors.get(name) as GgufTensor;
  const bytes = await source.read(found.offset, found.byteLength);
  return valuesOf({ bytes }, { ...found, offset: 0 });
}

/** Lists of integers of any width are the same. */
function plain(value: ReturnType<Fixture['gguf']['metadata']['get']>): unknown {
  return value?.type === 'array' ? Array.from(value.value.items as ArrayLike<unknown>) : value;
}
