/**
 * The families of transformers that are read, by `model_type`. Keys, names and changes to values are those of llama.cpp's converter,
 * so that an architecture reads a checkpoint as it reads a GGUF file.
 */
import { bert, nomicBert } from './encoder_families';
import { gptOss, graniteHybrid, graniteMoe, mixtral, olmoe, qwen2moe, qwen3moe } from './expert_families';
import type { Family } from './family';
import { gemma, gemma2, gemma3, gemma4 } from './gemma_families';
import { lfm2, qwen3Next, qwen35, qwen35Moe } from './hybrid_families';
import { cohere2, falcon, gpt2, phi, stablelm, starcoder2 } from './layer_norm_families';
import { granite, llama, mistral, mistral3, olmo2, olmo3, phi3, qwen2, qwen3, smollm3 } from './llama_families';

export const FAMILIES: ReadonlyMap<string, Family> = new Map([
  ['llama', llama],
  ['mistral', mistral],
  ['mistral3', mistral3],
  ['ministral3', mistral3],
  ['mixtral', mixtral],
  ['qwen2', qwen2],
  ['qwen2_moe', qwen2moe],
  ['qwen3', qwen3],
  ['qwen3_moe', qwen3moe],
  ['qwen3_next', qwen3Next],
  ['qwen3_5', qwen35],
  ['qwen3_5_text', qwen35],
  ['qwen3_5_moe', qwen35Moe],
  ['qwen3_5_moe_text', qwen35Moe],
  ['olmoe', olmoe],
  ['gemma', gemma],
  ['gemma2', gemma2],
  ['gemma3', gemma3],
  ['gemma3_text', gemma3],
  ['gemma4', gemma4],
  ['gemma4_text', gemma4],
  ['phi3', phi3],
  ['olmo2', olmo2],
  ['olmo3', olmo3],
  ['granite', granite],
  ['granitemoe', graniteMoe],
  ['granitemoeshared', graniteMoe],
  ['granitemoehybrid', graniteHybrid],
  ['gpt_oss', gptOss],
  ['smollm3', smollm3],
  ['lfm2', lfm2],
  ['starcoder2', starcoder2],
  ['cohere2', cohere2],
  ['stablelm', stablelm],
  ['phi', phi],
  ['gpt2', gpt2],
  ['falcon', falcon],
  ['bert', bert],
  ['nomic_bert', nomicBert],
]);
