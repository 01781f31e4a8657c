import type { Purpose } from '../engine/purpose';
import type { RunnerLimits } from '../engine/runner';
import { InvalidOptionError } from '../errors';
import { type Gguf, optionalString } from '../formats/gguf/gguf';
import type { QuantizeFormat } from '../formats/quantize_on_load';
import type { Capabilities, MaskableFeature } from '../gpu/capabilities';
import type { OpCall } from '../ops/calls';
import { kvBlockSize } from '../ops/kv_layout';
import type { Activation, ActivationType, KvType, RowBucket } from '../ops/op';
import { type SamplerStates, samplerStates } from '../ops/sampler_state';
import { PAGE_SIZE } from '../ops/step_layout';
import type { TextStore } from '../storage/text_store';
import { readModelSpec } from './architecture';
import { positive } from './hyperparameters';
import { type KvPools, kvPools, preflightContext } from './memory';
import type { ModelSpec } from './model_spec';

/** Context in use when nobody asks for another: enough for a chat, and its KV cache fits anywhere. */
const DEFAULT_CONTEXT = 4096;
/** Requests that run at once when nobody says how many; others wait. Up to 16 rows a step stays memory bound. */
const DEFAULT_SLOTS = 8;

/** Texts that an encoder takes in one step. */
const ENCODER_SLOTS = 16;

export interface LoadProgress {
  readonly phase: 'header' | 'weights' | 'tune' | 'compile';
  /** Bytes of weights read so far; 0 outside the weights phase. */
  readonly loaded: number;
  readonly total: number;
  /** A sentence for the user. */
  readonly notice?: string;
}

export interface TuneOptions {
  /** `auto` (default): variants are measured, except on software adapters, where the defaults run; `always`; `never`. */
  readonly mode?: 'auto' | 'always' | 'never';
  /** Milliseconds for measuring at one load, default 1000. */
  readonly budgetMs?: number;
  /** Remembers what was measured. */
  readonly store?: TextStore;
}

export interface LoadModelOptions {
  readonly backend: 'webgpu' | 'reference';
  /** Defaults to navigator.gpu. */
  readonly gpu?: GPU;
  /** Positions of KV cache; default: the trained context, at most 4096. More than the trained context works, ever less well. */
  readonly contextLength?: number;
  /** What K and V are kept as; default f16. q8_0 and q4_0 need heads that are multiples of 32. */
  readonly kvType?: KvType;
  /** Turns float matrices into this format while they are loaded. */
  readonly quantize?: QuantizeFormat;
  /** Storage of activations between kernels; f16 needs shader-f16. */
  readonly activationType?: ActivationType;
  readonly without?: readonly MaskableFeature[];
  readonly defaultLimits?: boolean;
  /** Rows of the largest step: a prompt is prefilled in chunks of this size. */
  readonly maxRows?: number;
  /** Rows of one step that may be sampled or scored. */
  readonly maxSampledRows?: number;
  /** Sequences that run at once, each with GPU-resident state; default 8. */
  readonly maxSlots?: number;
  /** Ready as soon as short steps can run; pipelines of long prompts are compiled meanwhile, and a step that needs them waits. */
  readonly compileInBackground?: boolean;
  /** How the kernels' variants are chosen. */
  readonly tune?: TuneOptions;
  /** What the model is loaded for: one that does not give it is refused by its header. */
  readonly purpose?: Purpose;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Waited for when the header was found good, before any weight is read. */
  readonly beforeWeights?: () => Promise<void>;
}

/** Everything that is decided about a model before anything is allocated. */
export interface ModelLayout {
  readonly spec: ModelSpec;
  readonly limits: RunnerLimits;
  readonly states: SamplerStates;
  readonly logits: Activation;
  readonly kvType: KvType;
  readonly activationType: ActivationType;
}

function buckets(maxRows: number): RowBucket[] {
  const rows = [1, 16, maxRows].filter((size, i, all) => size <= maxRows && all.indexOf(size) === i);
  return rows.map((size, i) => ({ minRows: i === 0 ? 1 : rows[i - 1] + 1, maxRows: size }));
}

/** The reference executor keeps f16 in f32. */
function kvTypeOf({ backend, kvType }: LoadModelOptions): KvType {
  if (backend !== 'reference') return kvType ?? 'f16';
  return kvType === undefined || kvType === 'f16' ? 'f32' : kvType;
}

function checkKvBlocks(spec: ModelSpec, kvType: KvType): void {
  const block = kvBlockSize(kvType);
  const cache = spec.caches.find(({ headDim }) => headDim % block !== 0);
  if (!cache) return;
  throw new InvalidOptionError(
    'kvType',
    `${kvType} keeps K and V in blocks of ${block} values, and the heads of layer ${cache.layer} have ${cache.headDim}: use f16 or f32`,
  );
}

/** What a model will look like with these options; throws before anything is allocated when it cannot work. */
export function layOut(gguf: Gguf, options: LoadModelOptions, capabilities: Capabilities | undefined): ModelLayout {
  const architecture = optionalString(gguf, 'general.architecture') ?? '';
  const trained = positive(gguf, `${architecture}.context_length`, DEFAULT_CONTEXT);
  const contextLength = options.contextLength ?? Math.min(trained, DEFAULT_CONTEXT);
  if (!Number.isSafeInteger(contextLength) || contextLength < 1) {
    throw new InvalidOptionError('contextLength', `${contextLength} is not a positive integer`);
  }
  if (options.activationType === 'f16' && !capabilities?.f16) {
    throw new InvalidOptionError('activationType', 'f16 needs a device with shader-f16');
  }
  const maxBinding = capabilities?.limits.maxStorageBufferBindingSize ?? Number.POSITIVE_INFINITY;
  const spec = readModelSpec(gguf, contextLength, maxBinding);
  const kvType = kvTypeOf(options);
  checkKvBlocks(spec, kvType);
  const encoder = spec.embeddingSize !== undefined;
  const maxSlots = options.maxSlots ?? (encoder ? ENCODER_SLOTS : DEFAULT_SLOTS);
  // An encoder takes a text whole.
  const maxRows = encoder ? contextLength : (options.maxRows ?? 256);
  const maxSampledRows = encoder ? maxSlots : (options.maxSampledRows ?? 16);
  if (capabilities) preflightContext(spec, { contextLength, maxRows, kvType }, capabilities.limits);
  // Texts that run together share the rows of a step; each leaves its last page half empty.
  const pools: KvPools = encoder
    ? { numPages: Math.ceil(contextLength / PAGE_SIZE) + maxSlots }
    : kvPools(spec, { contextLength, maxRows, maxSlots, kvType, maxBinding });
  return {
    spec,
    limits: {
      vocabSize: spec.vocabSize,
      embeddingSize: spec.embeddingSize,
      recurrent: spec.recurrent,
      hiddenSize: spec.hidden?.cols,
      earlyExits: spec.earlyExits,
      contextLength,
      maxRows,
      maxSampledRows,
      maxSlots,
      pageSize: PAGE_SIZE,
      ...pools,
    },
    states: samplerStates({ vocabSize: spec.vocabSize, maxSlots, maxSampledRows, contextLength }),
    logits: { name: 'logits', cols: spec.embeddingSize ?? spec.vocabSize, rows: 'sampled', type: 'f32' },
    kvType,
    activationType: options.activationType ?? 'f32',
  };
}

/** The plan of each row bucket, smallest first. */
export function plansOf(layout: ModelLayout): { readonly bucket: RowBucket; readonly calls: readonly OpCall[] }[] {
  const { spec, states, activationType } = layout;
  return buckets(layout.limits.maxRows).map((bucket) => ({
    bucket,
    calls: spec.plan(bucket, { activationType, states }),
  }));
}
