import type {
  AdapterDescription,
  Capabilities,
  DeviceLimits,
  MaskableFeature,
  SubgroupMatrixShape,
} from './capabilities';

const LIMIT_NAMES = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'minStorageBufferOffsetAlignment',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupsPerDimension',
] as const satisfies readonly (keyof DeviceLimits)[];

/** WGSL says nothing wider or narrower exists; what is assumed where an adapter does not tell. */
const SUBGROUP_SIZE_BOUNDS = { min: 4, max: 128 };

const SUBGROUP_MATRIX = 'chromium-experimental-subgroup-matrix';

/** Features that the adapter has and nobody masked. `timestamp-query` slows a device down, so it must be asked for. */
export function featuresToRequest(
  adapter: GPUAdapter,
  without: readonly MaskableFeature[],
  timestamps: boolean,
): GPUFeatureName[] {
  const wanted: readonly (readonly [MaskableFeature, string])[] = [
    ['shader-f16', 'shader-f16'],
    ['subgroups', 'subgroups'],
    ['subgroup-matrix', SUBGROUP_MATRIX],
    ...(timestamps ? [['timestamp-query', 'timestamp-query'] as const] : []),
  ];
  return wanted
    .filter(([mask, feature]) => !without.includes(mask) && adapter.features.has(feature))
    .map(([, feature]) => feature as GPUFeatureName);
}

/** The limits that kernels and buffers depend on, as wide as the adapter allows. */
export function maximalLimits(adapter: GPUAdapter): Record<string, number> {
  return Object.fromEntries(LIMIT_NAMES.map((name) => [name, adapter.limits[name]]));
}

/** What the device that was created can do. */
export function describeCapabilities(
  gpu: GPU,
  adapter: GPUAdapter,
  device: GPUDevice,
  without: readonly MaskableFeature[],
): Capabilities {
  const { info } = adapter;
  return {
    f16: device.features.has('shader-f16'),
    subgroups: device.features.has('subgroups'),
    subgroupMinSize: info.subgroupMinSize || SUBGROUP_SIZE_BOUNDS.min,
    subgroupMaxSize: info.subgroupMaxSize || SUBGROUP_SIZE_BOUNDS.max,
    dot4: !without.includes('dot4') && languageFeatures(gpu).has('packed_4x8_integer_dot_product'),
    subgroupMatrix: device.features.has(SUBGROUP_MATRIX),
    subgroupMatrixShapes: device.features.has(SUBGROUP_MATRIX) ? subgroupMatrixShapes(info) : [],
    timestampQuery: device.features.has('timestamp-query'),
    software: isSoftware(info),
    limits: Object.fromEntries(LIMIT_NAMES.map((name) => [name, device.limits[name]])) as Record<
      (typeof LIMIT_NAMES)[number],
      number
    >,
    adapter: describeAdapter(info),
  };
}

/** An experiment of Dawn's, not of the specification. */
function subgroupMatrixShapes(info: GPUAdapterInfo): SubgroupMatrixShape[] {
  const { subgroupMatrixConfigs = [] } = info as {
    readonly subgroupMatrixConfigs?: Iterable<SubgroupMatrixShape>;
  };
  return [...subgroupMatrixConfigs].map(({ componentType, resultComponentType, M, N, K }) => ({
    componentType,
    resultComponentType,
    M,
    N,
    K,
  }));
}

/** Browsers that do not know `isFallbackAdapter` name the rasteriser. */
export function isSoftware({ isFallbackAdapter, architecture, description }: GPUAdapterInfo): boolean {
  return isFallbackAdapter || /swiftshader|llvmpipe|basic render/i.test(`${architecture} ${description}`);
}

function describeAdapter({ vendor, architecture, device, description }: GPUAdapterInfo): AdapterDescription {
  return { vendor, architecture, device, description };
}

/** Empty where the browser is older than the property. */
function languageFeatures(gpu: GPU): ReadonlySet<string> {
  return (gpu as { readonly wgslLanguageFeatures?: ReadonlySet<string> }).wgslLanguageFeatures ?? new Set();
}
