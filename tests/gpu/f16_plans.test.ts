/**
 * Models with f16 activations, every architecture: Dawn's null backend, which computes nothing, takes all their kernels at default limits.
 * That the kernels are right with halves the ops' cases say; that a model is, tests/conformance.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { create } from 'webgpu';
import { fileSource } from '../../src/cli/file_source';
import { readGguf } from '../../src/formats/gguf/read_gguf';
import { GpuDevice } from '../../src/gpu/device';
import { splitByBindingLimit } from '../../src/model/gpu_tensors';
import { layOut, plansOf } from '../../src/model/layout';
import { planDispatches } from '../../src/model/webgpu_executor';
import { findFixtures } from '../conformance/fixtures';

let gpu: GpuDevice;
beforeAll(async () => {
  const nullGpu: GPU = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
  gpu = await GpuDevice.create({ gpu: nullGpu, defaultLimits: true });
});
afterAll(() => gpu.dispose());

const fixtures = findFixtures(({ own }) => own);
test.each(fixtures)('$name', async ({ path, contextSize }) => {
  const { capabilities } = gpu;
  const gguf = await readGguf(await fileSource(path));
  const layout = layOut(gguf, { backend: 'webgpu', contextLength: contextSize, activationType: 'f16' }, capabilities);
  const halves = new Set<string>();
  for (const { bucket, calls } of plansOf(layout)) {
    const { kvType, limits } = layout;
    const target = {
      capabilities,
      bucket,
      kvType,
      ...limits,
      weightParts: (weight: Parameters<typeof splitByBindingLimit>[0]) => splitByBindingLimit(weight, 2 ** 27),
    };
    const dispatches = planDispatches(calls, target).map(({ dispatch }) => dispatch);
    // Buffers are taken again, also for values of the other type: who reads one reads what was written last.
    const types = new Map<string, string>();
    for (const { bindings, label } of dispatches) {
      for (const binding of bindings) {
        if (binding.kind !== 'activation') continue;
        const { name, type } = binding.tensor;
        expect(type, `${label}: ${name}`).toBe((binding.access === 'read' && types.get(name)) || type);
        if (type === 'f16') halves.add(name);
      }
      for (const binding of bindings)
        if (binding.kind === 'activation' && binding.access === 'write')
          types.set(binding.tensor.name, binding.tensor.type);
    }
    await Promise.all(
      dispatches
        .filter(({ source }) => Object.values(source.aliases ?? {}).includes('f16'))
        .map(({ source, bindings }) =>
          gpu.pipelines.get(
            source,
            bindings.map((binding) => ('access' in binding ? binding.access : 'read')),
          ),
        ),
    );
  }
  expect(halves.size).toBeGreaterThan(2);
  // What many layers add up is f32.
  expect(halves).not.toContain('x');
});
