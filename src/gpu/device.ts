import {
  DeviceLostError,
  DisposedError,
  InternalError,
  KernelError,
  OutOfMemoryError,
  WebGpuUnavailableError,
} from '../errors';
import type { Capabilities, MaskableFeature } from './capabilities';
import { PipelineCache } from './pipelines';
import { describeCapabilities, featuresToRequest, maximalLimits } from './probe';

export interface GpuDeviceOptions {
  /** Defaults to navigator.gpu. */
  readonly gpu?: GPU;
  /** Features to do without although the adapter has them. */
  readonly without?: readonly MaskableFeature[];
  /** WebGPU's default limits instead of the adapter's. */
  readonly defaultLimits?: boolean;
  /** Enables `timestamp-query` where it exists. It costs time, so a device that serves does without. */
  readonly timestamps?: boolean;
  readonly powerPreference?: GPUPowerPreference;
}

export interface BufferDescription {
  readonly label: string;
  /** In bytes. */
  readonly size: number;
  readonly usage: GPUBufferUsageFlags;
}

/** How long a failed call waits to learn whether the device was lost: the two are reported one after the other. */
const LOSS_GRACE_MS = 500;

/** A WebGPU device that lets no error vanish and knows what it has allocated. Whoever creates it disposes of it. */
export class GpuDevice {
  readonly pipelines: PipelineCache;
  /** Resolves when the device is lost, except by `dispose`. */
  readonly lost: Promise<DeviceLostError>;
  private readonly buffers = new Map<GPUBuffer, number>();
  private bytes = 0;
  private lossSeen: DeviceLostError | undefined;
  private uncaptured: KernelError | OutOfMemoryError | undefined;
  private disposed = false;

  private constructor(
    readonly device: GPUDevice,
    readonly capabilities: Capabilities,
    /** Held for the device's life: Dawn in Node frees its instance, and crashes the device, once nobody holds it. */
    readonly gpu: GPU,
  ) {
    this.pipelines = new PipelineCache(device);
    this.lost = new Promise((resolve) => {
      void device.lost.then(({ reason, message }) => {
        if (this.disposed) return;
        this.lossSeen = new DeviceLostError(`the GPU device was lost: ${message || reason || 'no reason given'}`, {
          details: { reason: reason ?? 'unknown' },
        });
        resolve(this.lossSeen);
      });
    });
    device.addEventListener('uncapturederror', ({ error }) => {
      this.uncaptured ??= typedError('an unguarded GPU call', error);
    });
  }

  /**
   * Opens an adapter with all the features and limits that kernels can use, less what is masked.
   * Rejects with WebGpuUnavailableError; its message says what the user can do.
   */
  static async create(options: GpuDeviceOptions = {}): Promise<GpuDevice> {
    const gpu = options.gpu ?? defaultGpu();
    const without = options.without ?? [];
    const adapter = await gpu.requestAdapter({ powerPreference: options.powerPreference }).catch((cause: unknown) => {
      throw new WebGpuUnavailableError(NO_ADAPTER, { cause });
    });
    if (!adapter) throw new WebGpuUnavailableError(NO_ADAPTER);
    const device = await adapter
      .requestDevice({
        label: 'tessera',
        requiredFeatures: featuresToRequest(adapter, without, options.timestamps ?? false),
        requiredLimits: options.defaultLimits ? {} : maximalLimits(adapter),
      })
      .catch((cause: unknown) => {
        throw new WebGpuUnavailableError(
          `the GPU refused to open a device (${describeCause(cause)}); close other tabs that use the GPU, or restart the browser`,
          { cause },
        );
      });
    return new GpuDevice(device, describeCapabilities(gpu, adapter, device, without), gpu);
  }

  /** Set once `lost` has resolved. */
  get lostError(): DeviceLostError | undefined {
    return this.lossSeen;
  }

  /** Bytes of the buffers that `createBuffer` made and nobody has destroyed. */
  get allocatedBytes(): number {
    return this.bytes;
  }

  /**
   * Makes a zeroed buffer. Rejects with OutOfMemoryError (sizes in `details`), KernelError for a bad usage, DeviceLostError or
   * DisposedError; nothing stays allocated then.
   */
  async createBuffer({ label, size, usage }: BufferDescription): Promise<GPUBuffer> {
    this.throwIfGone();
    if (!Number.isSafeInteger(size) || size <= 0)
      throw new InternalError(`buffer "${label}" cannot have ${size} bytes`);
    const { maxBufferSize } = this.capabilities.limits;
    const details = { label, size, maxBufferSize, allocatedBytes: this.bytes };
    if (size > maxBufferSize) {
      throw new OutOfMemoryError(
        `buffer "${label}" needs ${size} bytes, this GPU allows ${maxBufferSize} in one buffer`,
        { details },
      );
    }
    this.bytes += size;
    let buffer: GPUBuffer | undefined;
    try {
      buffer = await this.guarded(`buffer "${label}"`, () => {
        buffer = this.device.createBuffer({ label, size, usage });
        return buffer;
      });
      this.throwIfGone();
    } catch (error) {
      this.bytes -= size;
      buffer?.destroy();
      if (!(error instanceof OutOfMemoryError)) throw error;
      throw new OutOfMemoryError(
        `the GPU is out of memory: buffer "${label}" needs ${size} bytes, ${details.allocatedBytes} are in use`,
        { details, cause: error },
      );
    }
    this.buffers.set(buffer, size);
    return buffer;
  }

  /** Frees a buffer that `createBuffer` made. Throws InternalError when it has been freed already. */
  destroyBuffer(buffer: GPUBuffer): void {
    if (this.disposed) return;
    const size = this.buffers.get(buffer);
    if (size === undefined)
      throw new InternalError(`buffer "${buffer.label}" is not this device's, or was destroyed before`);
    this.buffers.delete(buffer);
    this.bytes -= size;
    buffer.destroy();
  }

  /**
   * Runs WebGPU calls and waits until the GPU has validated them. Rejects with KernelError or OutOfMemoryError when one failed, with
   * what `fn` throws, and with the first error of an unguarded call since the last check. `fn` must be synchronous: error scopes are
   * a stack of the device's, which calls that wait would mix up.
   */
  async checked<T>(label: string, fn: () => T extends PromiseLike<unknown> ? never : T): Promise<T> {
    this.throwIfGone();
    const result = await this.guarded<T>(label, fn);
    this.throwIfFaulted();
    return result;
  }

  /** Throws DisposedError, DeviceLostError, or the first error of an unguarded call since the last check, which it then forgets. */
  throwIfFaulted(): void {
    this.throwIfGone();
    const error = this.uncaptured;
    this.uncaptured = undefined;
    if (error) throw error;
  }

  /** Why a WebGPU promise rejected: disposed, lost, or (as KernelError) `cause` itself. */
  async explain(label: string, cause: unknown): Promise<Error> {
    if (this.disposed) return new DisposedError(`${label}: the GPU device was disposed of`, { cause });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const grace = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), LOSS_GRACE_MS);
    });
    const lost = await Promise.race([this.lost, grace]);
    clearTimeout(timer);
    return lost ?? new KernelError(`${label}: ${describeCause(cause)}`, { cause });
  }

  /** Frees everything that was made on the device. Calls that wait for it reject with DisposedError. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const buffer of this.buffers.keys()) buffer.destroy();
    this.buffers.clear();
    this.bytes = 0;
    this.device.destroy();
  }

  private async guarded<T>(label: string, fn: () => T): Promise<T> {
    const { device } = this;
    for (const filter of ['validation', 'out-of-memory', 'internal'] as const) device.pushErrorScope(filter);
    let result: T;
    let scopes: Promise<GPUError | null>[];
    try {
      result = fn();
    } finally {
      scopes = [device.popErrorScope(), device.popErrorScope(), device.popErrorScope()];
      for (const scope of scopes) scope.catch(() => null); // awaited below, unless fn has thrown
    }
    const errors = await Promise.all(scopes).catch(async (cause: unknown) => {
      throw await this.explain(label, cause);
    });
    const error = errors.find((found) => found !== null);
    if (error) throw typedError(label, error);
    return result;
  }

  private throwIfGone(): void {
    if (this.disposed) throw new DisposedError('the GPU device was disposed of');
    if (this.lossSeen) throw this.lossSeen;
  }
}

const NO_ADAPTER =
  'there is no WebGPU adapter: update the GPU driver; in a browser turn on hardware acceleration (chrome://gpu says what is blocked); ' +
  'in Node on a machine without a GPU install a software Vulkan driver (mesa-vulkan-drivers)';

function defaultGpu(): GPU {
  const gpu = (globalThis.navigator as { readonly gpu?: GPU } | undefined)?.gpu;
  if (gpu) return gpu;
  throw new WebGpuUnavailableError(
    'isSecureContext' in globalThis && !globalThis.isSecureContext
      ? 'WebGPU needs a secure page: serve it over https or from localhost'
      : 'this browser has no WebGPU: use a current Chrome, Edge, Firefox or Safari',
  );
}

function typedError(label: string, error: GPUError): KernelError | OutOfMemoryError {
  const message = `${label}: ${error.message.trim()}`;
  if (error instanceof GPUOutOfMemoryError) return new OutOfMemoryError(message);
  // An internal error is the driver's way of saying that it could not do what was valid.
  return new KernelError(message, { details: { internal: error instanceof GPUInternalError } });
}

function describeCause(cause: unknown): string {
  return cause instanceof Error && cause.message ? cause.message : String(cause);
}
