import type { ModelFile, ModelInput } from '../../index';
import { modelOf } from '../chat/drop';

export interface ModelChoice {
  readonly label: string;
  readonly note: string;
  readonly model: () => ModelInput;
}

const SYNTHETIC_NOTE =
  'Random weights of this shape, made on the GPU from a seed: nothing is downloaded, and speed does not depend on the values.';

function embedded(file: string, label: string, note: string): ModelChoice {
  return { label, note, model: () => new URL(`models/${file}`, document.baseURI) };
}

/** `size`: of the weights on the GPU. */
function synthetic(shape: string, format: string, size: string): ModelChoice {
  return {
    label: `${shape}, ${format} (synthetic, ${size})`,
    note: SYNTHETIC_NOTE,
    model: () => `synthetic:${shape}:${format}`,
  };
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
  synthetic('smollm2-135m', 'q4_0', '76 MB'),
  synthetic('qwen2.5-0.5b', 'q8_0', '0.5 GB'),
  synthetic('qwen3-0.6b', 'q4_0', '0.3 GB'),
  synthetic('qwen3-1.7b', 'q4_0', '1 GB'),
  synthetic('llama-3.2-1b', 'q4_0', '0.7 GB'),
  synthetic('llama-3.2-1b', 'q4_k', '0.7 GB'),
  synthetic('llama-3.2-1b', 'q8_0', '1.3 GB'),
  synthetic('llama-3.2-1b', 'f16', '2.5 GB'),
  synthetic('llama-3.2-3b', 'q4_0', '1.8 GB'),
  synthetic('llama-3.1-8b', 'q4_0', '4.5 GB'),
  synthetic('olmoe-1b-7b', 'q4_0', '3.9 GB'),
];
