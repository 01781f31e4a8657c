import { estimateMemory } from '../formats/choose_file';
import { memoryBudget } from '../worker/memory_budget';

/** A model that suits a browser: where it is, what it takes, and under which licence it comes. */
export interface CatalogueEntry {
  readonly name: string;
  /** "owner/name" on Hugging Face's hub; give it and `file` to `createEngine`. */
  readonly repository: string;
  readonly file: string;
  readonly kind: 'chat' | 'embedding';
  readonly parameters: number;
  /** Of the file. The hub tells the true size before anything is downloaded. */
  readonly bytes: number;
  /** Whether `bytes` is an estimate from the parameters and the quantisation, good to about a tenth. */
  readonly approximate: boolean;
  /** Bytes that running it takes at a context of 4096 tokens, roughly. */
  readonly memoryBytes: number;
  /** SPDX identifier, or the name of the licence where it has none. */
  readonly licence: string;
}

type Row = readonly [
  name: string,
  repository: string,
  file: string,
  parameters: number,
  bytes: number,
  size: 'exact' | 'about',
  licence: string,
];

const APACHE = 'Apache-2.0';
const LLAMA = 'Llama 3.2 Community';
const GEMMA = 'Gemma Terms of Use';
const M = 1e6;
const B = 1e9;

/** Smallest first within a family. Exact sizes are those that public lists give to the byte, none of them another. */
const CHAT: readonly Row[] = [
  [
    'SmolLM2 135M',
    'bartowski/SmolLM2-135M-Instruct-GGUF',
    'SmolLM2-135M-Instruct-Q8_0.gguf',
    135 * M,
    145 * M,
    'about',
    APACHE,
  ],
  [
    'SmolLM2 360M',
    'HuggingFaceTB/SmolLM2-360M-Instruct-GGUF',
    'smollm2-360m-instruct-q8_0.gguf',
    362 * M,
    386_404_992,
    'exact',
    APACHE,
  ],
  [
    'SmolLM2 1.7B',
    'HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF',
    'smollm2-1.7b-instruct-q4_k_m.gguf',
    1.71 * B,
    1_055_609_536,
    'exact',
    APACHE,
  ],
  ['SmolLM3 3B', 'ggml-org/SmolLM3-3B-GGUF', 'SmolLM3-Q4_K_M.gguf', 3.08 * B, 1_915_305_312, 'exact', APACHE],
  ['Qwen3 0.6B', 'Qwen/Qwen3-0.6B-GGUF', 'Qwen3-0.6B-Q8_0.gguf', 596 * M, 639_446_688, 'exact', APACHE],
  ['Qwen3 1.7B', 'Qwen/Qwen3-1.7B-GGUF', 'Qwen3-1.7B-Q8_0.gguf', 1.72 * B, 1_834_426_016, 'exact', APACHE],
  ['Qwen3 4B', 'Qwen/Qwen3-4B-GGUF', 'Qwen3-4B-Q4_K_M.gguf', 4.02 * B, 2_497_280_256, 'exact', APACHE],
  ['Qwen3.5 0.8B', 'unsloth/Qwen3.5-0.8B-GGUF', 'Qwen3.5-0.8B-Q4_K_M.gguf', 800 * M, 530 * M, 'about', APACHE],
  ['Qwen3.5 2B', 'unsloth/Qwen3.5-2B-GGUF', 'Qwen3.5-2B-Q4_K_M.gguf', 1.9 * B, 1_280_835_840, 'exact', APACHE],
  ['Qwen3.5 4B', 'unsloth/Qwen3.5-4B-GGUF', 'Qwen3.5-4B-Q4_K_M.gguf', 4.2 * B, 2_740_937_888, 'exact', APACHE],
  [
    'Llama 3.2 1B',
    'bartowski/Llama-3.2-1B-Instruct-GGUF',
    'Llama-3.2-1B-Instruct-Q4_K_M.gguf',
    1.24 * B,
    807_694_464,
    'exact',
    LLAMA,
  ],
  [
    'Llama 3.2 3B',
    'bartowski/Llama-3.2-3B-Instruct-GGUF',
    'Llama-3.2-3B-Instruct-Q4_K_M.gguf',
    3.21 * B,
    2_019_377_696,
    'exact',
    LLAMA,
  ],
  ['Gemma 3 1B', 'unsloth/gemma-3-1b-it-GGUF', 'gemma-3-1b-it-Q4_K_M.gguf', 1 * B, 806_058_272, 'exact', GEMMA],
  ['Gemma 3 4B', 'unsloth/gemma-3-4b-it-GGUF', 'gemma-3-4b-it-Q4_K_M.gguf', 3.88 * B, 2_489_894_016, 'exact', GEMMA],
  ['Gemma 4 E2B', 'unsloth/gemma-4-E2B-it-GGUF', 'gemma-4-E2B-it-Q4_K_M.gguf', 4.65 * B, 3.11 * B, 'about', APACHE],
  [
    'Qwen2.5 0.5B',
    'Qwen/Qwen2.5-0.5B-Instruct-GGUF',
    'qwen2.5-0.5b-instruct-q4_k_m.gguf',
    494 * M,
    491_400_032,
    'exact',
    APACHE,
  ],
  [
    'Qwen2.5 1.5B',
    'Qwen/Qwen2.5-1.5B-Instruct-GGUF',
    'qwen2.5-1.5b-instruct-q4_k_m.gguf',
    1.54 * B,
    1_117_320_736,
    'exact',
    APACHE,
  ],
  [
    'Qwen2.5 3B',
    'Qwen/Qwen2.5-3B-Instruct-GGUF',
    'qwen2.5-3b-instruct-q4_k_m.gguf',
    3.09 * B,
    2_104_932_768,
    'exact',
    'Qwen Research',
  ],
  [
    'Phi-3 mini',
    'microsoft/Phi-3-mini-4k-instruct-gguf',
    'Phi-3-mini-4k-instruct-q4.gguf',
    3.82 * B,
    2_393_231_072,
    'exact',
    'MIT',
  ],
  [
    'Phi-4 mini',
    'unsloth/Phi-4-mini-instruct-GGUF',
    'Phi-4-mini-instruct-Q4_K_M.gguf',
    3.84 * B,
    2_491_874_272,
    'exact',
    'MIT',
  ],
  [
    'Granite 3.3 2B',
    'ibm-granite/granite-3.3-2b-instruct-GGUF',
    'granite-3.3-2b-instruct-Q4_K_M.gguf',
    2.53 * B,
    1_545_303_328,
    'exact',
    APACHE,
  ],
  [
    'LFM2 350M',
    'LiquidAI/LFM2-350M-GGUF',
    'LFM2-350M-Q4_K_M.gguf',
    354 * M,
    229_309_376,
    'exact',
    'LFM Open License 1.0',
  ],
  [
    'LFM2 1.2B',
    'LiquidAI/LFM2-1.2B-GGUF',
    'LFM2-1.2B-Q4_K_M.gguf',
    1.17 * B,
    730_893_248,
    'exact',
    'LFM Open License 1.0',
  ],
  [
    'OLMoE 1B of 7B',
    'allenai/OLMoE-1B-7B-0924-Instruct-GGUF',
    'olmoe-1b-7b-0924-instruct-q4_k_m.gguf',
    6.92 * B,
    4_213_512_672,
    'exact',
    APACHE,
  ],
  ['gpt-oss 20B', 'ggml-org/gpt-oss-20b-GGUF', 'gpt-oss-20b-mxfp4.gguf', 20.9 * B, 12_109_566_560, 'exact', APACHE],
];

const EMBEDDING: readonly Row[] = [
  [
    'Nomic Embed 1.5',
    'nomic-ai/nomic-embed-text-v1.5-GGUF',
    'nomic-embed-text-v1.5.Q8_0.gguf',
    137 * M,
    146_146_432,
    'exact',
    APACHE,
  ],
];

function entry(kind: CatalogueEntry['kind']) {
  return ([name, repository, file, parameters, bytes, size, licence]: Row): CatalogueEntry => ({
    name,
    repository,
    file,
    kind,
    parameters,
    bytes,
    licence,
    approximate: size === 'about',
    memoryBytes: estimateMemory(bytes),
  });
}

/** Models that are known to be of use in a browser. Any other repository of a supported architecture loads as well. */
export const catalogue: readonly CatalogueEntry[] = [...CHAT.map(entry('chat')), ...EMBEDDING.map(entry('embedding'))];

/** Whether a model should fit into this device's memory, as far as a browser tells; `createEngine` finds out. */
export function fitsDevice({ memoryBytes }: Pick<CatalogueEntry, 'memoryBytes'>): boolean {
  return memoryBytes <= memoryBudget();
}
