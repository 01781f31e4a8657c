/** How often the WebGPU API was called. */
interface CallCounts {
  readonly dispatches: number;
  /** Compute passes begun. */
  readonly passes: number;
  readonly submits: number;
  readonly bindGroups: number;
  /** Buffers created. */
  readonly buffers: number;
  /** Calls of queue.writeBuffer, and the bytes that they wrote. */
  readonly bufferWrites: number;
  readonly bytesWritten: number;
  /** Calls of mapAsync. */
  readonly maps: number;
  /** Compute pipelines and shader modules created. */
  readonly pipelines: number;
  readonly shaderModules: number;
}

export interface CallCounter extends CallCounts {
  /** Back to zero. */
  reset(): void;
  /** Ends the counting and gives the device its own methods back. */
  restore(): void;
}

type Method = (...args: never[]) => unknown;

/** Names of T's methods. */
type MethodName<T> = { [K in keyof T]: T[K] extends Method ? K : never }[keyof T] & string;

/**
 * Counts the calls on a device from now on, at the API itself: whatever makes them, they are seen. Only this device's objects are
 * touched, no prototype. Buffers that exist already are counted once a command names them in a copy, as any that is read back must.
 */
export function countCalls(device: GPUDevice): CallCounter {
  const counts = {
    dispatches: 0,
    passes: 0,
    submits: 0,
    bindGroups: 0,
    buffers: 0,
    bufferWrites: 0,
    bytesWritten: 0,
    maps: 0,
    pipelines: 0,
    shaderModules: 0,
  };
  const undo: (() => void)[] = [];
  const watched = new WeakSet<GPUBuffer>();
  const on = <T extends object, K extends MethodName<T>>(
    target: T,
    name: K,
    called: (result: MethodResult<T[K]>, args: MethodArguments<T[K]>) => void,
  ): void => {
    undo.push(intercept(target, name, called));
  };
  const watchBuffer = (buffer: GPUBuffer): void => {
    if (watched.has(buffer)) return;
    watched.add(buffer);
    on(buffer, 'mapAsync', () => counts.maps++);
  };

  on(device, 'createBindGroup', () => counts.bindGroups++);
  on(device, 'createComputePipeline', () => counts.pipelines++);
  on(device, 'createComputePipelineAsync', () => counts.pipelines++);
  on(device, 'createShaderModule', () => counts.shaderModules++);
  on(device, 'createBuffer', (buffer) => {
    counts.buffers++;
    watchBuffer(buffer);
  });
  on(device.queue, 'submit', () => counts.submits++);
  on(device.queue, 'writeBuffer', (_, [, , data, dataOffset, size]) => {
    counts.bufferWrites++;
    counts.bytesWritten += writtenBytes(data, dataOffset, size);
  });
  // Encoders and passes live for one step and are left as they are: nothing calls them afterwards.
  on(device, 'createCommandEncoder', (encoder) => {
    intercept(encoder, 'copyBufferToBuffer', (_, args: readonly unknown[]) => {
      for (const argument of args) if (argument instanceof GPUBuffer) watchBuffer(argument);
    });
    intercept(encoder, 'beginComputePass', (pass) => {
      counts.passes++;
      intercept(pass, 'dispatchWorkgroups', () => counts.dispatches++);
      intercept(pass, 'dispatchWorkgroupsIndirect', () => counts.dispatches++);
    });
  });

  return Object.defineProperties({} as CallCounter, {
    ...Object.fromEntries(
      Object.keys(counts).map((name) => [name, { get: () => counts[name as keyof typeof counts], enumerable: true }]),
    ),
    reset: {
      value: () => {
        for (const name of Object.keys(counts)) counts[name as keyof typeof counts] = 0;
      },
    },
    restore: {
      value: () => {
        for (const restore of undo.splice(0).reverse()) restore();
      },
    },
  });
}

type MethodResult<F> = F extends (...args: never[]) => infer R ? R : never;
type MethodArguments<F> = F extends (...args: infer A) => unknown ? A : never;

/** Has `called` told of every call of one object's method, until the returned function is called. */
function intercept<T extends object, K extends MethodName<T>>(
  target: T,
  name: K,
  called: (result: MethodResult<T[K]>, args: MethodArguments<T[K]>) => void,
): () => void {
  const own = Object.getOwnPropertyDescriptor(target, name);
  const original = target[name] as (...args: unknown[]) => unknown;
  const value = (...args: unknown[]): unknown => {
    const result = original.apply(target, args);
    called(result as MethodResult<T[K]>, args as MethodArguments<T[K]>);
    return result;
  };
  Object.defineProperty(target, name, { value, configurable: true, writable: true });
  return () => {
    if (own) Object.defineProperty(target, name, own);
    else Reflect.deleteProperty(target, name);
  };
}

/** `dataOffset` and `size` count elements of a typed array, bytes of anything else. */
function writtenBytes(data: GPUAllowSharedBufferSource, dataOffset = 0, size?: number): number {
  const element = 'BYTES_PER_ELEMENT' in data ? (data as Uint8Array).BYTES_PER_ELEMENT : 1;
  return size === undefined ? data.byteLength - dataOffset * element : size * element;
}
