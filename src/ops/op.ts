/**
 * What an op is: a call described as data, a reference that defines its result, and the dispatches that compute it on a GPU.
 * A plan (model/) is a list of calls; executors (model/) resolve names to buffers or typed arrays and know no op by name.
 */
import type { Batch, RunnerLimits } from '../engine/runner';
import type { WeightFormat } from '../formats/weight_format';
import type { Capabilities } from '../gpu/capabilities';
import type { KernelSource } from '../gpu/kernel';
import type { StepShape } from './step_layout';
import type { KernelTuning } from './tuning';

export const ACTIVATION_TYPES = ['f32', 'f16'] as const;
export type ActivationType = (typeof ACTIVATION_TYPES)[number];
/** What K and V are kept as; the quantised ones in blocks of 32 values of a head (shaders/kv). */
export const KV_TYPES = ['f32', 'f16', 'q8_0', 'q4_0'] as const;
export type KvType = (typeof KV_TYPES)[number];

/** A row-major [rows, cols] matrix with one row per row of the step, or per sampled row. Rewritten every step. */
export interface Activation {
  readonly name: string;
  readonly cols: number;
  readonly rows: 'step' | 'sampled';
  readonly type: ActivationType;
}

/** A constant matrix [rows, cols], row-major in `format`; y = W·x takes cols values to rows values. */
export interface Weight {
  readonly name: string;
  readonly format: WeightFormat;
  readonly rows: number;
  readonly cols: number;
  /** Rows of one matrix of a stack (experts): where they fit, a part holds whole matrices. */
  readonly stackRows?: number;
}

/** A constant f32 vector: norm weights, biases, tables. */
export interface Vector {
  readonly name: string;
  readonly length: number;
}

/** The K or V pages of one layer: [page][kvHead][PAGE_SIZE][headDim] in the plan's KvType. */
export interface KvCache {
  readonly layer: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  /** Set when no row sees further back than so many positions, its own included: the layer's pages may be a smaller pool of their own. */
  readonly window?: number;
}

/** GPU-resident u32 words that outlive a step (last tokens, penalty counts, sample records). */
export interface State {
  readonly name: string;
  readonly words: number;
}

/** What a kernel binds, in the order of @binding, all in @group(0). */
export type Binding =
  | { readonly kind: 'step' }
  /** Only for what moves the step itself on (ops/advance.wgsl). */
  | { readonly kind: 'step'; readonly access: 'write' }
  | { readonly kind: 'activation'; readonly tensor: Activation; readonly access: 'read' | 'write' }
  /** `part`: index of the row range when a weight is larger than the device's binding limit (see KernelTarget.weightParts). */
  | { readonly kind: 'weight'; readonly tensor: Weight; readonly part: number; readonly plane: 'quants' | 'scales' }
  | { readonly kind: 'vector'; readonly tensor: Vector }
  | { readonly kind: 'kv'; readonly cache: KvCache; readonly which: 'k' | 'v'; readonly access: 'read' | 'write' }
  | { readonly kind: 'state'; readonly state: State; readonly access: 'read' | 'write' }
  /** f32 words private to a call but shared by name between calls (attention partials); sized by the largest user. */
  | { readonly kind: 'scratch'; readonly name: string; readonly bytes: number; readonly access: 'read' | 'write' };

/** One dispatch of a kernel; encoded every step with the workgroup counts of that step. */
export interface Dispatch {
  /** For traces: op, variant, format, tile. */
  readonly label: string;
  readonly source: KernelSource;
  readonly bindings: readonly Binding[];
  /** A zero in any dimension leaves the dispatch out of this step. */
  workgroups(step: StepShape): readonly [x: number, y: number, z: number];
  /** Bytes that the kernel must read and write in device memory at this step, by its own account. */
  traffic(step: StepShape): number;
}

/** Rows that a plan is made for: a step with minRows ≤ rows ≤ maxRows runs on it. */
export interface RowBucket {
  readonly minRows: number;
  readonly maxRows: number;
}

/** A contiguous range of a weight's rows that lies in its own buffers. */
export interface WeightPart {
  readonly firstRow: number;
  readonly rows: number;
}

/** What kernel choice depends on. */
export interface KernelTarget {
  readonly capabilities: Capabilities;
  readonly bucket: RowBucket;
  readonly kvType: KvType;
  /** Longest context of a sequence, in positions. */
  readonly contextLength: number;
  readonly maxSampledRows: number;
  readonly maxSlots: number;
  /** What a tuner chose; absent: the ops' defaults. */
  readonly tuning?: KernelTuning;
  weightParts(weight: Weight): readonly WeightPart[];
}

/** The typed arrays of the reference executor. f32 storage; references accumulate in f64. */
export interface ReferenceEnv {
  readonly batch: ReferenceStep;
  /** [rows × cols], exactly as many rows as the step has; writable. */
  activation(tensor: Activation): Float32Array;
  /** Decoded row `row` of a weight. */
  weightRow(tensor: Weight, row: number): Float32Array;
  vector(tensor: Vector): Float32Array;
  kv(cache: KvCache, which: 'k' | 'v'): Float32Array;
  /** Whole heads of K or V as the cache's type keeps them: what is written into `kv`. */
  cached(values: Float32Array): Float32Array;
  state(state: State): Uint32Array;
}

/** A batch with the rows written out, as the step buffer has them. */
export interface ReferenceStep {
  readonly source: Batch;
  readonly rows: readonly { readonly token: number; readonly position: number; readonly segment: number }[];
  readonly segments: readonly {
    readonly slot: number;
    readonly firstRow: number;
    readonly rowCount: number;
    readonly firstPosition: number;
    readonly length: number;
    readonly pages: readonly number[];
    /** Of caches with a window: `pages` where they are no pool of their own. */
    readonly slidingPages: readonly number[];
    readonly firstSampledRow: number;
    readonly sampledRows: number;
  }[];
  readonly sampled: readonly { readonly row: number; readonly segment: number }[];
}

/** One kind of operation. Every op file in ops/ exports one of these. */
export interface Op<Call extends { readonly op: string }> {
  readonly name: Call['op'];
  /** Shape guards: throws InternalError that names the tensor, expected and found. */
  check(call: Call): void;
  /** The definition of the op, slow and obvious. */
  reference(call: Call, env: ReferenceEnv): void;
  /** The kernels for this call on this target, in order. */
  dispatches(call: Call, target: KernelTarget): readonly Dispatch[];
  /** The kernels of a call and the next one of the plan, where both can run at once; undefined where they cannot. */
  dispatchesOfTwo?(first: Call, second: Call, target: KernelTarget): readonly Dispatch[] | undefined;
}

/**
 * One self-contained check of one op, for tests and for the self-test on a user's GPU: run the calls by both executors over the
 * same inputs, compare the outputs by normalised mean squared error.
 */
export interface OpCase<Call extends { readonly op: string } = { readonly op: string }> {
  /** Unique: op and what is special, e.g. "linear q4_0 256→172 rows 3 residual". */
  readonly label: string;
  readonly calls: readonly Call[];
  readonly batch: Batch;
  readonly bucket: RowBucket;
  readonly contextLength: number;
  readonly numPages: number;
  /** Where caches with a window have a pool of their own. */
  readonly sliding?: RunnerLimits['sliding'];
  readonly kvType: KvType;
  /** Kernels as tuned; absent: the ops' defaults. */
  readonly tuning?: KernelTuning;
  /** What a device must have to run the case, beside what its tensors' types need. */
  readonly needs?: readonly ('dot4' | 'subgroups' | 'subgroupMatrix')[];
  /** Largest plane of a weight: a larger weight lies in parts. Absent: the device's binding limit. */
  readonly maxBindingBytes?: number;
  /** Values for inputs by tensor name; inputs that are not listed get seeded normal random values (weights: random blocks). */
  readonly inputs?: Readonly<Record<string, Float32Array | Uint32Array>>;
  /** Tensors to compare, each with its budget (NMSE); outputs are poisoned with NaN before the run. */
  readonly outputs: readonly {
    readonly tensor: Activation | State | (KvCache & { readonly which: 'k' | 'v' });
    /** NMSE for floats; 'exact' for integer state. */
    readonly budget: number | 'exact';
  }[];
}
