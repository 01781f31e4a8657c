import { describe, expect, test } from 'vitest';
import { KernelError } from '../../src/errors';
import { PipelineCache } from '../../src/gpu/pipelines';
import { VARIANTS, withDevice } from './variants';

const SOURCES = new Map([
  [
    'lib/scale.wgsl',
    `override FACTOR: f32;
const OFFSET: f32 = 0.0;
fn scaled(x: f32) -> f32 { return x * FACTOR + OFFSET; }
`,
  ],
  ['lib/negate.wgsl', 'fn scaled(x: f32) -> f32 { return -x; }\n'],
  [
    'ops/scale.wgsl',
    `// out = scaled(x), element by element.
// #import "lib/scale.wgsl"
alias Act = f32;
@group(0) @binding(0) var<storage, read> x: array<Act>;
@group(0) @binding(1) var<storage, read_write> out: array<Act>;
@compute @workgroup_size(4)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < arrayLength(&x)) { out[id.x] = Act(scaled(f32(x[id.x]))); }
}
`,
  ],
  [
    'ops/broken.wgsl',
    `enable subgroups;
// #import "lib/negate.wgsl"
@compute @workgroup_size(1)
fn main() {
  let y = scaled(nowhere);
}
`.replace('enable subgroups;\n', ''),
  ],
]);

const ACCESS = ['read', 'write'] as const;

describe.each(VARIANTS)('pipelines on $name', (variant) => {
  const device = withDevice(variant);

  test('a linked kernel computes with its swaps, constants, aliases and overrides', async () => {
    const gpu = await device();
    const cache = new PipelineCache(gpu.device, SOURCES);
    const values = Float32Array.from({ length: 7 }, (_, i) => i - 2.5);
    const run = async (source: Parameters<typeof cache.get>[0]): Promise<number[]> => {
      const pipeline = await cache.get(source, ACCESS);
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
      const x = await gpu.createBuffer({ label: 'x', size: 28, usage });
      const out = await gpu.createBuffer({ label: 'out', size: 28, usage });
      const staging = await gpu.createBuffer({
        label: 'read',
        size: 28,
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      });
      gpu.device.queue.writeBuffer(x, 0, values);
      await gpu.checked('scale', () => {
        const encoder = gpu.device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        const entries = [x, out].map((buffer, binding) => ({ binding, resource: { buffer } }));
        pass.setBindGroup(0, gpu.device.createBindGroup({ layout: cache.bindGroupLayout(ACCESS), entries }));
        pass.dispatchWorkgroups(2);
        pass.end();
        encoder.copyBufferToBuffer(out, 0, staging, 0, 28);
        gpu.device.queue.submit([encoder.finish()]);
      });
      await staging.mapAsync(GPUMapMode.READ);
      const result = [...new Float32Array(staging.getMappedRange())];
      for (const buffer of [x, out, staging]) gpu.destroyBuffer(buffer);
      return result;
    };
    const entry = 'ops/scale.wgsl';
    expect(await run({ entry, overrides: { FACTOR: 3 } })).toEqual([...values].map((v) => v * 3));
    expect(await run({ entry, overrides: { FACTOR: 3 }, constants: { OFFSET: 0.5 } })).toEqual(
      [...values].map((v) => v * 3 + 0.5),
    );
    expect(await run({ entry, swaps: { 'lib/scale.wgsl': 'lib/negate.wgsl' } })).toEqual([...values].map((v) => -v));
    expect(gpu.allocatedBytes).toBe(0);
  });

  test('a variant is compiled once, also when asked for concurrently', async () => {
    const gpu = await device();
    const cache = new PipelineCache(gpu.device, SOURCES);
    const get = (factor: number) => cache.get({ entry: 'ops/scale.wgsl', overrides: { FACTOR: factor } }, ACCESS);
    const [a, b, c] = await Promise.all([get(2), get(2), get(3)]);
    expect(a).toBe(b);
    expect(c).not.toBe(a);
    expect(cache.size).toBe(2);
  });

  test('a compile error names file, line and source line', async () => {
    const cache = new PipelineCache((await device()).device, SOURCES);
    const failure = await cache.get({ entry: 'ops/broken.wgsl' }, []).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(KernelError);
    expect((failure as KernelError).message).toContain('ops/broken.wgsl:4:');
    expect((failure as KernelError).message).toContain('let y = scaled(nowhere);');
    expect((failure as KernelError).details).toMatchObject({ file: 'ops/broken.wgsl', line: 4 });
  });

  test('overrides must be known and given, bindings must fit', async () => {
    const cache = new PipelineCache((await device()).device, SOURCES);
    const entry = 'ops/scale.wgsl';
    await expect(cache.get({ entry, overrides: { FACTOR: 1, ROWS: 2 } }, ACCESS)).rejects.toThrow('no override ROWS');
    await expect(cache.get({ entry }, ACCESS)).rejects.toThrow('override FACTOR has no value');
    await expect(cache.get({ entry, overrides: { FACTOR: Number.NaN } }, ACCESS)).rejects.toThrow('cannot be NaN');
    await expect(cache.get({ entry, overrides: { FACTOR: 1 } }, ['read', 'read'])).rejects.toThrow(KernelError);
    await expect(cache.get({ entry, overrides: { FACTOR: 1 } }, ['read'])).rejects.toThrow(KernelError);
  });
});

test('an alias that becomes f16 enables f16, where the device has it', async ({ onTestFinished }) => {
  const { GpuDevice } = await import('../../src/gpu/device');
  const gpu = await GpuDevice.create();
  onTestFinished(() => gpu.dispose());
  const cache = new PipelineCache(gpu.device, SOURCES);
  const pipeline = cache.get({ entry: 'ops/scale.wgsl', aliases: { Act: 'f16' }, overrides: { FACTOR: 1 } }, ACCESS);
  if (gpu.capabilities.f16) await expect(pipeline).resolves.toBeInstanceOf(GPUComputePipeline);
  else await expect(pipeline).rejects.toThrow(KernelError);
});
