import { UnsupportedModelError } from '../errors';
import type { Gguf } from '../formats/gguf/gguf';
import { readBert, readNomicBert } from './architectures/bert';
import { DecoderReader } from './architectures/decoder_reader';
import { readGptOss, readOlmoe, readQwen2Moe, readQwen3Moe } from './architectures/expert_families';
import { readGemma, readGemma2, readGemma3, readGemmaEmbedding } from './architectures/gemma';
import { readGemma4 } from './architectures/gemma4';
import { readGranite } from './architectures/granite';
import {
  readCohere2,
  readFalcon,
  readGpt2,
  readPhi2,
  readStableLm,
  readStarCoder2,
} from './architectures/layer_norm_decoders';
import { readLlama, readMistral3, readQwen2, readQwen3, readSmolLm3 } from './architectures/llama';
import { readOlmo2 } from './architectures/olmo2';
import { readPhi3 } from './architectures/phi3';
import { readLfm2, readQwen3Next, readQwen35, readQwen35Moe } from './architectures/recurrent_families';
import { architectureOf, expectAbsentOr } from './hyperparameters';
import type { ModelSpec } from './model_spec';

/** general.architecture → how its files are read. A new family is one file in architectures/ and one line here. */
const READERS: ReadonlyMap<string, (reader: DecoderReader) => ModelSpec> = new Map([
  ['llama', readLlama],
  ['mistral3', readMistral3],
  ['qwen2', readQwen2],
  ['qwen3', readQwen3],
  ['gemma', readGemma],
  ['gemma2', readGemma2],
  ['gemma3', readGemma3],
  ['gemma4', readGemma4],
  ['phi3', readPhi3],
  ['granite', readGranite],
  ['olmo2', readOlmo2],
  ['smollm3', readSmolLm3],
  ['qwen2moe', readQwen2Moe],
  ['qwen3moe', readQwen3Moe],
  ['olmoe', readOlmoe],
  ['gpt-oss', readGptOss],
  ['granitemoe', readGranite],
  ['gpt2', readGpt2],
  ['starcoder2', readStarCoder2],
  ['falcon', readFalcon],
  ['phi2', readPhi2],
  ['stablelm', readStableLm],
  ['cohere2', readCohere2],
  ['lfm2', readLfm2],
  ['qwen35', readQwen35],
  ['qwen35moe', readQwen35Moe],
  ['qwen3next', readQwen3Next],
  ['bert', readBert],
  ['nomic-bert', readNomicBert],
  ['gemma-embedding', readGemmaEmbedding],
]);

/** Models whose rows see those behind them too. */
const ENCODERS: readonly string[] = ['bert', 'nomic-bert', 'gemma-embedding'];

/**
 * What a file's model is made of. `contextLength` sizes its tables, `maxBindingBytes` decides which weights are fused.
 * @throws UnsupportedModelError naming the architecture, InvalidFileError naming the key or tensor.
 */
export function readModelSpec(gguf: Gguf, contextLength: number, maxBindingBytes: number): ModelSpec {
  const name = architectureOf(gguf);
  const read = READERS.get(name);
  if (!read) {
    throw new UnsupportedModelError(
      `the architecture "${name}" is not supported yet (${[...READERS.keys()].join(', ')})`,
      {
        details: { architecture: name },
      },
    );
  }
  expectAbsentOr(gguf, `${name}.attention.causal`, [!ENCODERS.includes(name)]);
  return read(new DecoderReader(gguf, contextLength, maxBindingBytes));
}
