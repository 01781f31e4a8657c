/** What a model is loaded from: a file, a repository, or nothing at all. */
import type { ByteSource } from '../formats/byte_source';
import type { Gguf } from '../formats/gguf/gguf';
import { readGguf } from '../formats/gguf/read_gguf';
import { expectWhole } from '../formats/gguf/split';
import type { DescribedSource } from '../formats/model_files';
import { type QuantizeFormat, quantizeOnLoad } from '../formats/quantize_on_load';

/** A model that is described as a file would, and has no bytes. */
export interface SyntheticModel {
  readonly name: string;
  /** Bytes that its tensors would take in a file. */
  readonly size: number;
  readonly gguf: Gguf;
  readonly seed: number;
}

/** What a model is loaded from. */
export type ModelOrigin = ByteSource | DescribedSource | SyntheticModel;

/** How the address of a synthetic model begins. */
export const SYNTHETIC_PREFIX = 'synthetic:';

/** Whether a model's address names a synthetic one. */
export function isSyntheticName(address: string): boolean {
  return address.startsWith(SYNTHETIC_PREFIX);
}

export function isSynthetic(origin: ModelOrigin): origin is SyntheticModel {
  return 'seed' in origin;
}

/** The header of a model, wherever it comes from, as `quantize` will make it. Rejects like `readGguf`. */
export async function readHeader(
  origin: ModelOrigin,
  { signal, quantize }: { readonly signal?: AbortSignal; readonly quantize?: QuantizeFormat } = {},
): Promise<Gguf> {
  const gguf = await storedHeader(origin, signal);
  return quantize ? quantizeOnLoad(gguf, quantize) : gguf;
}

async function storedHeader(origin: ModelOrigin, signal: AbortSignal | undefined): Promise<Gguf> {
  if ('gguf' in origin) return origin.gguf;
  const gguf = await readGguf(origin, { signal });
  expectWhole(gguf, origin.name);
  return gguf;
}
