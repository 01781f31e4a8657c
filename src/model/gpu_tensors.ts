import type { KvGroup } from '../engine/runner';
import { InternalError } from '../errors';
import type { GpuDevice } from '../gpu/device';
import { kvValueBytes } from '../ops/kv_layout';
import type { Activation, Binding, KvCache, KvType, State, Vector, Weight, WeightPart } from '../ops/op';
import { PAGE_SIZE } from '../ops/step_layout';
import { planeBytes } from '../ops/weights/layout';

/** A row range of a weight in its two planes (ops/weights/layout.ts). */
export interface GpuWeightPart extends WeightPart {
  readonly quants: GPUBuffer;
  readonly scales: GPUBuffer;
}

export interface GpuTensorSizes {
  readonly maxRows: number;
  readonly maxSampledRows: number;
  readonly numPages: number;
  /** Of caches with a window, where they are a pool of their own. */
  readonly sliding?: { readonly numPages: number };
  readonly kvType: KvType;
  readonly stepWords: number;
  /** Largest plane of a weight, where it is less than the device's binding limit. */
  readonly maxBindingBytes?: number;
}

type NamedBinding = Exclude<Binding, { kind: 'step' } | { kind: 'weight' }>;
/** Bindings whose buffers are made when a plan is prepared; vectors and weights come with the file. */
type AllocatedBinding = Exclude<NamedBinding, { kind: 'vector' }>;

// COPY_SRC and COPY_DST: tests poison and read every tensor, the loader fills them, copy on write copies pages.
const STORAGE = 0x80 | 0x4 | 0x8; // GPUBufferUsage.STORAGE | COPY_SRC | COPY_DST

/**
 * Row ranges of a weight that each fit into one storage binding: whole matrices of a stack where one fits, otherwise multiples of 64 rows,
 * so that tiles do not straddle.
 */
export function splitByBindingLimit(weight: Weight, maxBindingBytes: number): readonly WeightPart[] {
  const all = planeBytes(weight.format, weight.rows, weight.cols).quants;
  if (all <= maxBindingBytes) return [{ firstRow: 0, rows: weight.rows }];
  const perRow = planeBytes(weight.format, 1, weight.cols).quants;
  const fitting = Math.floor(maxBindingBytes / perRow);
  const unit = weight.stackRows !== undefined && weight.stackRows <= fitting ? weight.stackRows : 64;
  const rows = Math.floor(fitting / unit) * unit;
  if (rows === 0)
    throw new InternalError(`64 rows of weight "${weight.name}" exceed the binding limit ${maxBindingBytes}`);
  const parts: WeightPart[] = [];
  for (let firstRow = 0; firstRow < weight.rows; firstRow += rows) {
    parts.push({ firstRow, rows: Math.min(rows, weight.rows - firstRow) });
  }
  return parts;
}

/** Pages of a cache's pool. */
export function cachePages(cache: KvCache, sizes: Pick<GpuTensorSizes, 'numPages' | 'sliding'>): number {
  return cache.window !== undefined && sizes.sliding ? sizes.sliding.numPages : sizes.numPages;
}

/** Bytes of one layer's K (or V) pool. */
export function kvBytes(cache: KvCache, numPages: number, kvType: KvType): number {
  return kvValueBytes(kvType, numPages * cache.numKvHeads * PAGE_SIZE * cache.headDim);
}

/** Owns every GPU buffer of a model and finds the buffer of a binding by name. Everything it made is freed by `dispose`. */
export class GpuTensors {
  readonly step: GPUBuffer;
  private readonly buffers = new Map<string, GPUBuffer>();
  private readonly caches = new Map<string, KvCache>();
  private readonly weights = new Map<string, readonly GpuWeightPart[]>();
  private readonly owned: GPUBuffer[] = [];

  private constructor(
    private readonly gpu: GpuDevice,
    readonly sizes: GpuTensorSizes,
    step: GPUBuffer,
  ) {
    this.step = step;
    this.owned.push(step);
  }

  static async create(gpu: GpuDevice, sizes: GpuTensorSizes): Promise<GpuTensors> {
    const step = await gpu.createBuffer({ label: 'step', size: sizes.stepWords * 4, usage: STORAGE });
    return new GpuTensors(gpu, sizes, step);
  }

  async addWeight(weight: Weight): Promise<readonly GpuWeightPart[]> {
    const parts: GpuWeightPart[] = [];
    const { maxStorageBufferBindingSize } = this.gpu.capabilities.limits;
    for (const part of splitByBindingLimit(weight, this.sizes.maxBindingBytes ?? maxStorageBufferBindingSize)) {
      const bytes = planeBytes(weight.format, part.rows, weight.cols);
      const quants = await this.allocate(`${weight.name}.quants`, bytes.quants);
      const scales = await this.allocate(`${weight.name}.scales`, bytes.scales);
      parts.push({ ...part, quants, scales });
    }
    this.weights.set(weight.name, parts);
    return parts;
  }

  async addVector(vector: Vector, values: Float32Array<ArrayBuffer>): Promise<void> {
    const buffer = await this.named(`vector ${vector.name}`, vector.length * 4);
    this.gpu.device.queue.writeBuffer(buffer, 0, values);
  }

  weightParts(weight: Weight): readonly GpuWeightPart[] {
    const parts = this.weights.get(weight.name);
    if (!parts) throw new InternalError(`weight "${weight.name}" is not loaded`);
    return parts;
  }

  /** Allocates what the binding needs and does not have yet (activations, KV, state, scratch). */
  async ensure(binding: Binding): Promise<void> {
    if (binding.kind === 'step' || binding.kind === 'weight' || binding.kind === 'vector') return;
    if (binding.kind === 'kv') this.caches.set(this.key(binding), binding.cache);
    await this.named(this.key(binding), this.bytes(binding));
  }

  /** Whether the binding has a buffer, large enough or not. */
  has(binding: Binding): boolean {
    if (binding.kind === 'step' || binding.kind === 'weight' || binding.kind === 'vector') return true;
    return this.buffers.has(this.key(binding));
  }

  /** The buffer behind a binding; it must exist. */
  buffer(binding: Binding): GPUBuffer {
    if (binding.kind === 'step') return this.step;
    if (binding.kind === 'weight') return this.weightParts(binding.tensor)[binding.part][binding.plane];
    const key = this.key(binding);
    const buffer = this.buffers.get(key);
    if (!buffer) throw new InternalError(`${key} has no buffer`);
    return buffer;
  }

  activation(tensor: Activation): GPUBuffer {
    return this.buffer({ kind: 'activation', tensor, access: 'read' });
  }

  kv(cache: KvCache, which: 'k' | 'v'): GPUBuffer {
    return this.buffer({ kind: 'kv', cache, which, access: 'read' });
  }

  state(state: State): GPUBuffer {
    return this.buffer({ kind: 'state', state, access: 'read' });
  }

  /** The KV buffers of a group with the bytes of one page, for page copies. Without pools of their own, caches with a window are of the full group. */
  kvBuffers(group: KvGroup): { readonly buffer: GPUBuffer; readonly pageBytes: number }[] {
    const found: { buffer: GPUBuffer; pageBytes: number }[] = [];
    for (const [key, cache] of this.caches) {
      const buffer = this.buffers.get(key);
      const slides = cache.window !== undefined && this.sizes.sliding !== undefined;
      if (!buffer || slides !== (group === 'sliding')) continue;
      found.push({ buffer, pageBytes: buffer.size / cachePages(cache, this.sizes) });
    }
    return found;
  }

  /** The parts of every weight, in the order in which they were added. */
  loadedWeights(): GpuWeightPart[] {
    return [...this.weights.values()].flat();
  }

  dispose(): void {
    for (const buffer of this.owned) this.gpu.destroyBuffer(buffer);
    this.owned.length = 0;
    this.buffers.clear();
    this.weights.clear();
  }

  private key(binding: NamedBinding): string {
    switch (binding.kind) {
      case 'activation':
        return `activation ${binding.tensor.name}`;
      case 'vector':
        return `vector ${binding.tensor.name}`;
      case 'kv':
        return `kv ${binding.which}${binding.cache.layer}`;
      case 'state':
        return `state ${binding.state.name}`;
      case 'scratch':
        return `scratch ${binding.name}`;
    }
  }

  private bytes(binding: AllocatedBinding): number {
    switch (binding.kind) {
      case 'activation': {
        const rows = binding.tensor.rows === 'step' ? this.sizes.maxRows : this.sizes.maxSampledRows;
        return rows * binding.tensor.cols * (binding.tensor.type === 'f16' ? 2 : 4);
      }
      case 'kv':
        return kvBytes(binding.cache, cachePages(binding.cache, this.sizes), this.sizes.kvType);
      case 'state':
        return binding.state.words * 4;
      case 'scratch':
        return binding.bytes;
    }
  }

  /** A named buffer of at least `bytes`; a smaller one is replaced, so every size must be asked for before bind groups are made. */
  private async named(key: string, bytes: number): Promise<GPUBuffer> {
    const existing = this.buffers.get(key);
    if (existing && existing.size >= bytes) return existing;
    if (existing) {
      this.owned.splice(this.owned.indexOf(existing), 1);
      this.gpu.destroyBuffer(existing);
    }
    const buffer = await this.allocate(key, bytes);
    this.buffers.set(key, buffer);
    return buffer;
  }

  private async allocate(label: string, bytes: number): Promise<GPUBuffer> {
    const size = Math.max(16, Math.ceil(bytes / 16) * 16);
    const buffer = await this.gpu.createBuffer({ label, size, usage: STORAGE });
    this.owned.push(buffer);
    return buffer;
  }
}
