/** A checkpoint's tensors under GGUF's names, in GGUF's order of rows and values. */
import { InvalidFileError, UnsupportedModelError } from '../../errors';
import type { ByteSource } from '../byte_source';
import { decodeRow } from '../dequantize';
import type { GgmlType } from '../gguf/ggml_types';
import type { GgufTensor } from '../gguf/gguf';
import { joinedSource } from '../joined_source';
import type { StoredTensor } from '../safetensors/checkpoint';
import type { WeightFormat } from '../weight_format';
import type { Family } from './family';
import type { ComputedTensor } from './rope';
import { computedSource, interleavedHeads, sliceSource } from './stored_rows';

/** One tensor as GGUF describes it, and its bytes. */
export interface DescribedTensor {
  readonly tensor: Omit<GgufTensor, 'offset'>;
  readonly bytes: ByteSource;
}

export interface TensorContext {
  readonly family: Family;
  readonly numHeads: number;
  readonly numKvHeads: number;
  /** The output head is the embedding table; undefined when the configuration does not say. */
  readonly tied: boolean | undefined;
  /** The checkpoint holds other towers besides the language model's; only that is read. */
  readonly multimodal: boolean;
}

const FLOATS: readonly string[] = ['F32', 'F16', 'BF16'];
/** Buffers that old checkpoints store and that are computed. */
const COMPUTED_BUFFERS = /\.rotary_emb\.inv_freq$|\.masked_bias$/;
const OTHER_TOWERS = /^(?:model\.)?(?:vision_tower|vision_model|multi_modal_projector|embed_vision|audio_tower)\./;

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
  for (const stored of checkpoint.values()) {
    const placed = place(stored, context);
    if (!placed) continue;
    const list = byTarget.get(placed.target);
    if (!list) byTarget.set(placed.target, [placed]);
    else if (placed.expert === undefined || list[0].expert === undefined) {
      throw broken(`tensor "${stored.name}" is there twice, as "${list[0].stored.name}" too`);
    } else list.push(placed);
  }
  if (context.tied === false && !byTarget.has('output.weight')) {
    throw broken('"tie_word_embeddings" is false, but the tensor "lm_head.weight" is missing');
  }
  const described = [...byTarget].map(([target, placed]) => describe(target, placed, context));
  return [...described, ...computed.map(({ name, values }) => describeComputed(name, values))];
}

/** Where a tensor goes; undefined for one that is not read. */
function place(stored: StoredTensor, { family, tied, multimodal }: TensorContext): Placed | undefined {
  if (COMPUTED_BUFFERS.test(stored.name) || family.ignored?.test(stored.name)) return undefined;
  if (multimodal && OTHER_TOWERS.test(stored.name)) return undefined;
  const name = multimodal
    ? stored.name.replace(/^(?:model\.language_model|language_model\.model)\./, 'model.')
    : stored.name;
  const plain = name.replace(/^language_model\.(?=lm_head\.)|^bert\.(?=e)/, '');
  const match = /^(.*)\.(weight|bias)$/.exec(plain);
  const numbers: string[] = [];
  const pattern = match?.[1].replace(/(?<=\.)\d+(?=\.|$)/g, (number) => {
    numbers.push(number);
    return numbers.length === 1 ? '{l}' : '{e}';
  });
  const target = pattern !== undefined && Object.hasOwn(family.names, pattern) ? family.names[pattern] : undefined;
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
    if (!FLOATS.includes(part.dtype)) {
      throw new UnsupportedModelError(
        `tensor "${part.name}" is stored as ${part.dtype}, expected ${FLOATS.join(', ')}`,
        {
          details: { tensor: part.name, type: part.dtype },
        },
      );
    }
    if (part.dtype !== stored.dtype || part.shape.join() !== stored.shape.join()) {
      throw broken(`tensors "${stored.name}" and "${part.name}" differ in shape or dtype`);
    }
    if (part.shape.length < 1 || part.shape.length > 2 || part.byteLength === 0) {
      throw broken(`tensor "${part.name}" has shape [${part.shape.join(', ')}], expected a vector or a matrix`);
    }
  }
  const type = stored.dtype as GgmlType;
  // A matrix of one row is a vector in GGUF.
  const shape = [...stored.shape].reverse().filter((size, i) => i === 0 || size > 1 || parts.length > 1);
  if (parts.length > 1 || placed[0].expert !== undefined) shape.push(parts.length);
  if (context.family.normsPlusOne && target.endsWith('norm.weight')) return plusOne(target, stored);
  const bytes = parts.map(({ stored: part }) => rowsOf(target, part, context));
  return {
    tensor: { name: target, type, shape, byteLength: parts.length * stored.byteLength },
    bytes: bytes.length === 1 ? bytes[0] : joinedSource(target, bytes),
  };
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
  const bytes = sliceSource(stored.source, stored.offset, stored.byteLength);
  const which = family.interleaved ? /\.attn_(q|k)\.(?:weight|bias)$/.exec(target)?.[1] : undefined;
  if (which === undefined) return bytes;
  const heads = which === 'q' ? numHeads : numKvHeads;
  const [rows] = stored.shape;
  if (rows % (2 * heads) !== 0) throw broken(`tensor "${stored.name}": ${rows} rows cannot be cut into ${heads} heads`);
  return interleavedHeads(bytes, stored.byteLength / rows, rows / heads);
}

function plusOne(name: string, stored: StoredTensor): DescribedTensor {
  const [count] = stored.shape;
  const format = stored.dtype.toLowerCase() as WeightFormat;
  const bytes = computedSource(stored.source.name, count, async (signal) => {
    const raw = await stored.source.read(stored.offset, stored.byteLength, signal);
    return decodeRow(format, raw, count).map((value) => value + 1);
  });
  return { tensor: { name, type: 'F32', shape: [count], byteLength: 4 * count }, bytes };
}

function describeComputed(name: string, values: Float32Array<ArrayBuffer>): DescribedTensor {
  const tensor = { name, type: 'F32', shape: [values.length], byteLength: values.byteLength } as const;
  return { tensor, bytes: computedSource(name, values.length, async () => values) };
}

function broken(problem: string): InvalidFileError {
  return new InvalidFileError(problem);
}
