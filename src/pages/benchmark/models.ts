import type { ModelFile, ModelInput } from '../../index';
import { modelOf } from '../chat/drop';

export interface ModelChoice {
  /** Choices next to each other with the same group belong together. */
  readonly group?: string;
  readonly label: string;
  readonly note: string;
  readonly model: () => ModelInput;
}

const SYNTHETIC_NOTE =
  'Random weights of this shape, made on the GPU from a seed: nothing is downloaded, and speed does not depend on the values.';

function embedded(file: string, label: string, note: string): ModelChoice {
  return { label, note, model: () => new URL(`models/${file}`, document.baseURI) };
}

/** Megabytes of the weights on the GPU, by shape and format. */
const SYNTHETIC: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'smollm2-135m': { q4_0: 76, q4_k: 90, q4_k_m: 104, q8_0: 143, f16: 269 },
  'qwen2.5-0.5b': { q4_0: 278, q4_k: 328, q4_k_m: 393, q8_0: 525, f16: 988 },
  'qwen3-0.6b': { q4_0: 335, q4_k: 345, q4_k_m: 398, q8_0: 633, f16: 1192 },
  'qwen3-1.7b': { q4_0: 968, q4_k: 995, q4_k_m: 1124, q8_0: 1828, f16: 3441 },
  'llama-3.2-1b': { q4_0: 695, q4_k: 714, q4_k_m: 816, q8_0: 1313, f16: 2471 },
  'llama-3.2-3b': { q4_0: 1807, q4_k: 1857, q4_k_m: 2055, q8_0: 3413, f16: 6425 },
  'llama-3.1-8b': { q4_0: 4517, q4_k: 4642, q4_k_m: 5025, q8_0: 8532, f16: 16_060 },
  'olmoe-1b-7b': { q4_0: 3899, q8_0: 7358 },
};

function synthetics(): ModelChoice[] {
  return Object.entries(SYNTHETIC).flatMap(([shape, formats]) =>
    Object.entries(formats).map(([format, megabytes]) => ({
      group: `${shape} (synthetic)`,
      label: `${shape}, ${format} (${megabytes < 1000 ? `${megabytes} MB` : `${(megabytes / 1000).toFixed(1)} GB`})`,
      note: SYNTHETIC_NOTE,
      model: () => `synthetic:${shape}:${format}`,
    })),
  );
}

/** A file by itself, the parts of a split one, or what a folder holds; undefined for nothing. */
export function fileChoice(files: readonly ModelFile[]): ModelChoice | undefined {
  const found = modelOf(files);
  return (
    found && { label: found.name, note: 'Read from your disk; it stays on this device.', model: () => found.model }
  );
}

export const CHOICES: readonly ModelChoice[] = [
  embedded(
    'demo.q8_0.gguf',
    'Demo model (3.7 M parameters)',
    'Embedded in this page: too small to say much about a fast GPU.',
  ),
  embedded('draft.q8_0.gguf', 'Draft of the demo model (0.5 M parameters)', 'Embedded in this page; the smallest one.'),
  ...synthetics(),
];
