/** A checkpoint's tensors under GGUF's names, in GGUF's order of rows and values. */
import { UnsupportedModelError } from '../../errors';
import type { ByteSource } from '../byte_source';
import { joinedSource } from '../joined_source';
import type { StoredTensor } from '../safetensors/checkpoint';
import type { Config } from './config';
import { computedVector } from './conversions';
import {
  broken,
  bytesOf,
  type DescribedTensor,
  expectDtype,
  expectRank,
  floats,
  ggufShape,
  sizesOf,
} from './described_tensor';
import type { Family } from './family';
import type { ComputedTensor } from './rope';
import { computedSource, interleavedHeads } from './stored_rows';

interface TensorContext {
  readonly family: Family;
  readonly config: Config;
  readonly numHeads: number;
  readonly numKvHeads: number;
  /** The output head is the embedding table; undefined when the configuration does not say. */
  readonly tied: boolean | undefined;
  /** The checkpoint holds other towers besides the language model's; only that is read. */
  readonly multimodal: boolean;
}

/** Buffers that old checkpoints store and that are computed. */
const COMPUTED_BUFFERS = /\.rotary_emb\.inv_freq$|\.masked_bias$/;
const OTHER_TOWERS =
  /^(?:model\.)?(?:vision_tower|vision_model|visual|multi_modal_projector|embed_vision|audio_tower|embed_audio)\./;

interface Placed {
  readonly stored: StoredTensor;
  readonly target: string;
  readonly expert: number | undefined;
}

/**
 * Maps every tensor. Throws UnsupportedModelError for a name or dtype that is not known, InvalidFileError for experts that are missing or
 * of different shapes.
 */
export function describeTensors(
  checkpoint: ReadonlyMap<string, StoredTensor>,
  computed: readonly ComputedTensor[],
  context: TensorContext,
): DescribedTensor[] {
  const byTarget = new Map<string, Placed[]>();
  const converted: DescribedTensor[] = [];
  for (const stored of checkpoint.values()) {
    if (isIgnored(stored.name, context)) continue;
    const name = nameInModel(stored.name, context);
    if (convert(stored, name, checkpoint, context, converted)) continue;
    const placed = place(stored, name, context);
    if (!placed) continue;
    const list = byTarget.get(placed.target);
    if (!list) byTarget.set(placed.target, [placed]);
    else if (placed.expert === undefined || list[0].expert === undefined) {
      throw broken(`tensor "${stored.name}" is there twice, as "${list[0].stored.name}" too`);
    } else list.push(placed);
  }
  if (context.tied === false && !context.family.headless && !byTarget.has('output.weight')) {
    throw broken('"tie_word_embeddings" is false, but the tensor "lm_head.weight" is missing');
  }
  const described = [...byTarget].map(([target, placed]) => describe(target, placed, context));
  const all = [...described, ...converted, ...computed.map(({ name, values }) => describeComputed(name, values))];
  const names = new Set<string>();
  for (const { tensor } of all) {
    if (names.has(tensor.name)) throw broken(`the tensor "${tensor.name}" is there twice, in different forms`);
    names.add(tensor.name);
  }
  return all;
}

function isIgnored(name: string, { family, config, multimodal }: TensorContext): boolean {
  if (COMPUTED_BUFFERS.test(name) || family.ignores?.(name, config)) return true;
  return multimodal && OTHER_TOWERS.test(name);
}

/** A name as the language model alone would have it. */
function nameInModel(name: string, { multimodal }: TensorContext): string {
  const own = multimodal ? name.replace(/^(?:model\.language_model|language_model\.model)\./, 'model.') : name;
  return own.replace(/^language_model\.(?=lm_head\.)|^bert\.(?=e)/, '');
}

/** {l} in place of the first number of a name, {e} in place of the second. */
function patternOf(name: string): { pattern: string; numbers: string[] } {
  const numbers: string[] = [];
  const pattern = name.replace(/(?<=\.|^)\d+(?=\.|$)/g, (number) => {
    numbers.push(number);
    return numbers.length === 1 ? '{l}' : '{e}';
  });
  return { pattern, numbers };
}

/** A family's own entry for a pattern. Checkpoints of a model without its head leave out the name around it ("model."). */
function lookUp<T>(
  entries: Readonly<Record<string, T>> | undefined,
  pattern: string,
  prefix = 'model.',
): T | undefined {
  if (!entries) return undefined;
  const found = [pattern, prefix + pattern].find((key) => Object.hasOwn(entries, key));
  return found === undefined ? undefined : entries[found];
}

/** Adds what a tensor becomes that the family stores in a form of its own; false where it does not. */
function convert(
  stored: StoredTensor,
  name: string,
  checkpoint: ReadonlyMap<string, StoredTensor>,
  { family, config }: TensorContext,
  out: DescribedTensor[],
): boolean {
  const { pattern, numbers } = patternOf(name);
  const conversion = numbers.length < 2 ? lookUp(family.conversions, pattern, family.prefix) : undefined;
  if (!conversion) return false;
  const at = (target: string): string => target.replace('{l}', numbers[0] ?? '');
  out.push(...conversion(stored, { config, checkpoint, at }));
  return true;
}

/** Where a tensor goes; undefined for one that is not read. */
function place(stored: StoredTensor, name: string, { family, tied }: TensorContext): Placed | undefined {
  const match = /^(.*)\.(weight|bias)$/.exec(name);
  const { pattern, numbers } = patternOf(match?.[1] ?? '');
  const target = match ? lookUp(family.names, pattern, family.prefix) : undefined;
  if (!match || target === undefined || numbers.length > 2) {
    throw new UnsupportedModelError(`tensor "${stored.name}" is not part of this model type`, {
      details: { tensor: stored.name },
    });
  }
  // Transformers takes the embedding table then, whatever is stored.
  if (target === 'output' && tied) return undefined;
  const [layer, expert] = numbers;
  return {
    stored,
    target: `${target.replace('{l}', layer ?? '')}.${match[2]}`,
    expert: expert === undefined ? undefined : Number(expert),
  };
}

function describe(target: string, placed: readonly Placed[], context: TensorContext): DescribedTensor {
  const parts = placed[0].expert === undefined ? placed : inOrder(target, placed);
  const [{ stored }] = parts;
  for (const { stored: part } of parts) {
    expectDtype(part);
    if (part.dtype !== stored.dtype || part.shape.join() !== stored.shape.join()) {
      throw broken(`tensors "${stored.name}" and "${part.name}" differ in shape or dtype`);
    }
    expectRank(part, [1, 2], 'a vector or a matrix');
  }
  if (context.family.normsPlusOne && /(?<!ssm_)norm\.weight$/.test(target)) {
    return computedVector(target, stored, (values) => values.map((value) => value + 1));
  }
  const bytes = parts.map(({ stored: part }) => rowsOf(target, part, context));
  if (placed[0].expert === undefined) return floats(target, stored, sizesOf(stored), bytes[0]);
  const joined = bytes.length === 1 ? bytes[0] : joinedSource(target, bytes);
  const described = floats(target, stored, [], joined);
  return { ...described, tensor: { ...described.tensor, shape: stackShape(stored, parts.length) } };
}

/** Experts keep every dimension, except that one alone of a single row is a vector. */
function stackShape(stored: StoredTensor, count: number): readonly number[] {
  const sizes = sizesOf(stored);
  return [...(count > 1 ? [...sizes].reverse() : ggufShape(sizes)), count];
}

function inOrder(target: string, placed: readonly Placed[]): Placed[] {
  const sorted = [...placed].sort((a, b) => (a.expert ?? 0) - (b.expert ?? 0));
  sorted.forEach(({ expert, stored }, index) => {
    if (expert !== index)
      throw broken(`expert ${index} of "${target}" is missing: found "${stored.name}" in its place`);
  });
  return sorted;
}

function rowsOf(target: string, stored: StoredTensor, { family, numHeads, numKvHeads }: TensorContext): ByteSource {
  const bytes = bytesOf(stored);
  const which = family.interleaved ? /\.attn_(q|k)\.(?:weight|bias)$/.exec(target)?.[1] : undefined;
  if (which === undefined) return bytes;
  const heads = which === 'q' ? numHeads : numKvHeads;
  const [rows] = stored.shape;
  if (rows % (2 * heads) !== 0) throw broken(`tensor "${stored.name}": ${rows} rows cannot be cut into ${heads} heads`);
  return interleavedHeads(bytes, stored.byteLength / rows, rows / heads);
}

function describeComputed(name: string, values: Float32Array<ArrayBuffer>): DescribedTensor {
  const tensor = { name, type: 'F32', shape: [values.length], byteLength: values.byteLength } as const;
  return { tensor, bytes: computedSource(name, values.length, async () => values) };
}
