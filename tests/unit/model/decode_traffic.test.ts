import { expect, test } from 'vitest';
import { LEAST_CAPABILITIES as DEFAULTS } from '../../../src/gpu/capabilities';
import { splitByBindingLimit } from '../../../src/model/gpu_tensors';
import { layOut, plansOf } from '../../../src/model/layout';
import { stepCost } from '../../../src/model/step_cost';
import { namedSyntheticModel } from '../../../src/model/synthetic';
import { planDispatches } from '../../../src/model/webgpu_executor';

/** WebGPU's default limits, no optional feature but the one that f16 activations need. */
const LEAST_CAPABILITIES = { ...DEFAULTS, f16: true };

test.each([
  ['llama-3.2-1b', 'f32'],
  ['llama-3.2-1b', 'f16'],
  ['llama-3.1-8b', 'f32'],
  // With experts: those of one row, and two dispatches more a layer.
  ['qwen3-30b-a3b', 'f32'],
] as const)(
  '%s in q4_0 with %s activations: a decoded token reads little more than weights and cache, in few dispatches',
  (name, activationType) => {
    const { gguf } = namedSyntheticModel(`synthetic:${name}:q4_0`);
    const layout = layOut(gguf, { backend: 'webgpu', contextLength: 8192, activationType }, LEAST_CAPABILITIES);
    const [{ bucket, calls }] = plansOf(layout);
    const { limits, kvType, spec } = layout;
    const dispatches = planDispatches(calls, {
      capabilities: LEAST_CAPABILITIES,
      bucket,
      kvType,
      contextLength: limits.contextLength,
      maxSampledRows: limits.maxSampledRows,
      maxSlots: limits.maxSlots,
      weightParts: (weight) => splitByBindingLimit(weight, LEAST_CAPABILITIES.limits.maxStorageBufferBindingSize),
    });
    for (const length of [1, 512, 4096, 8192]) {
      const shape = { rows: 1, segments: 1, sampledRows: 1, tiles: 1, maxLength: length, greedy: true };
      const run = dispatches.filter(
        ({ dispatch, when }) => when === undefined && dispatch.workgroups(shape).every((count) => count > 0),
      );
      const bytes = run.reduce((sum, { dispatch }) => sum + dispatch.traffic(shape), 0);
      const { weightBytes, kvBytes } = stepCost(calls, { rows: 1, length, sampledRows: 1 }, kvType);
      expect(bytes / (weightBytes + kvBytes)).toBeLessThanOrEqual(1.05);
      expect(bytes).toBeGreaterThan(weightBytes + kvBytes);
      // Weights in parts, where a tensor exceeds the default binding limit, take one dispatch each.
      const parts =
        run.length - run.filter(({ call }, i) => run.findIndex((other) => other.call === call) === i).length;
      if (spec.weights.every(({ weight }) => splitByBindingLimit(weight, 2 ** 27).length === 1)) {
        expect(run.length).toBeLessThanOrEqual(7 * spec.numLayers + 6);
      } else {
        expect(parts).toBeGreaterThan(0);
      }
    }
  },
);

test('where the values of a layer are stored in more bits than queries and keys (Q4_K_M), it takes no dispatch more', () => {
  const { gguf } = namedSyntheticModel('synthetic:llama-3.2-1b:q4_k_m');
  const limits = { ...LEAST_CAPABILITIES.limits, maxStorageBufferBindingSize: 2 ** 30 };
  const layout = layOut(gguf, { backend: 'webgpu', contextLength: 512 }, { ...LEAST_CAPABILITIES, limits });
  const [{ bucket, calls }] = plansOf(layout);
  const dispatches = planDispatches(calls, {
    ...layout.limits,
    capabilities: { ...LEAST_CAPABILITIES, limits },
    bucket,
    kvType: layout.kvType,
    weightParts: (weight) => splitByBindingLimit(weight, limits.maxStorageBufferBindingSize),
  });
  const shape = { rows: 1, segments: 1, sampledRows: 1, tiles: 1, maxLength: 100, greedy: true };
  const run = dispatches.filter(
    ({ dispatch, when }) => when === undefined && dispatch.workgroups(shape).every((count) => count > 0),
  );
  const { numLayers } = layout.spec;
  const mixed = run.filter(({ dispatch: { label } }) => label.includes('q4_k') && label.includes('q6_k'));
  expect(mixed.length).toBeGreaterThan(5);
  expect(run.length).toBeLessThanOrEqual(7 * numLayers + 6);
  const bytes = run.reduce((sum, { dispatch }) => sum + dispatch.traffic(shape), 0);
  const { weightBytes, kvBytes } = stepCost(calls, { rows: 1, length: 100, sampledRows: 1 }, layout.kvType);
  expect(bytes / (weightBytes + kvBytes)).toBeLessThanOrEqual(1.05);
  expect(bytes).toBeGreaterThan(weightBytes + kvBytes);
});
