import type { Capabilities } from '../../src/gpu/capabilities';

/** WebGPU's default limits and no optional feature, on a GPU. */
export const CAPABILITIES: Capabilities = {
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
