/** What a device can do, by name. Kernels ask this, never the device itself, so that any of it can be masked. */
export interface Capabilities {
  /** `shader-f16` */
  readonly f16: boolean;
  /** `subgroups`, with a known size range */
  readonly subgroups: boolean;
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
  /** WGSL language feature `packed_4x8_integer_dot_product` */
  readonly dot4: boolean;
  /** experimental `chromium-experimental-subgroup-matrix` */
  readonly subgroupMatrix: boolean;
  /** What its units multiply: M × K by K × N; empty without them. */
  readonly subgroupMatrixShapes: readonly SubgroupMatrixShape[];
  readonly timestampQuery: boolean;
  /** The adapter computes on the CPU: it has no coalescing, its barriers are dear, and straight code compiles for seconds. */
  readonly software: boolean;
  readonly limits: DeviceLimits;
  readonly adapter: AdapterDescription;
}

export interface SubgroupMatrixShape {
  /** Of the operands and of the result: 'f32', 'f16', 'i8' … */
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

export interface DeviceLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxStorageBuffersPerShaderStage: number;
  readonly minStorageBufferOffsetAlignment: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
  readonly maxComputeWorkgroupsPerDimension: number;
}

export interface AdapterDescription {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
}

/** WebGPU's default limits and no optional feature, on a GPU. */
export const LEAST_CAPABILITIES: Capabilities = {
  f16: false,
  subgroups: false,
  subgroupMinSize: 0,
  subgroupMaxSize: 0,
  dot4: false,
  subgroupMatrix: false,
  subgroupMatrixShapes: [],
  timestampQuery: false,
  software: false,
  limits: {
    maxBufferSize: 2 ** 28,
    maxStorageBufferBindingSize: 2 ** 27,
    maxStorageBuffersPerShaderStage: 8,
    minStorageBufferOffsetAlignment: 256,
    maxComputeWorkgroupStorageSize: 16_384,
    maxComputeInvocationsPerWorkgroup: 256,
    maxComputeWorkgroupSizeX: 256,
    maxComputeWorkgroupsPerDimension: 65_535,
  },
  adapter: { vendor: '', architecture: '', device: '', description: '' },
};

/** Names that `--without` and `createEngine({ without })` accept. */
export type MaskableFeature = 'shader-f16' | 'subgroups' | 'dot4' | 'subgroup-matrix' | 'timestamp-query';
