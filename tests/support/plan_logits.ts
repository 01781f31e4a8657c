import { fileSource } from '../../src/cli/file_source';
import { GREEDY } from '../../src/engine/runner';
import type { ByteSource } from '../../src/formats/byte_source';
import type { Gguf, GgufValue } from '../../src/formats/gguf/gguf';
import { readGguf } from '../../src/formats/gguf/read_gguf';
import { readModelSpec } from '../../src/model/architecture';
import { layOut } from '../../src/model/layout';
import { prepareReference } from '../../src/model/prepare_reference';
import { describeStep } from '../../src/model/step_encoder';
import type { OpCall } from '../../src/ops/calls';
import type { RowBucket } from '../../src/ops/op';

const ROWS = 23;

/** A model of tests/fixtures/models. */
export async function openFixture(name: string): Promise<{ readonly source: ByteSource; readonly gguf: Gguf }> {
  const source = await fileSource(`tests/fixtures/models/${name}.gguf`);
  return { source, gguf: await readGguf(source) };
}

/** Its header with other metadata: numbers as u32 where they are whole, otherwise f32. */
export async function fixtureWith(
  name: string,
  keys: Readonly<Record<string, number | boolean | string>>,
): Promise<Gguf> {
  const { gguf } = await openFixture(name);
  const metadata = new Map<string, GgufValue>(gguf.metadata);
  for (const [key, value] of Object.entries(keys)) {
    if (typeof value === 'boolean') metadata.set(key, { type: 'bool', value });
    else if (typeof value === 'string') metadata.set(key, { type: 'string', value });
    else metadata.set(key, { type: Number.isInteger(value) ? 'u32' : 'f32', value });
  }
  return { ...gguf, metadata };
}

/** The plan of a bucket, and the logits of all rows of one step that the reference executor computes by it. */
export async function planLogits(
  model: string | { readonly source: ByteSource; readonly gguf: Gguf },
  bucket: RowBucket,
  maxBindingBytes = Number.POSITIVE_INFINITY,
): Promise<{ readonly calls: readonly OpCall[]; readonly logits: Float32Array }> {
  const { source, gguf } = typeof model === 'string' ? await openFixture(model) : model;
  const layout = layOut(gguf, { backend: 'reference', contextLength: 64, maxSampledRows: ROWS }, undefined);
  const spec = readModelSpec(gguf, 64, maxBindingBytes);
  const calls = spec.plan(bucket, layout);
  const executor = await prepareReference(gguf, source, { ...layout, spec }, {});
  const step = describeStep({
    segments: [
      {
        slot: 0,
        tokens: Array.from({ length: ROWS }, (_, i) => (i * 37) % 150),
        position: 0,
        pages: [0, 1],
        sample: 'all',
        sampling: GREEDY,
      },
    ],
  });
  executor.run(calls, step);
  return { calls, logits: executor.activation(layout.logits, step).slice() };
}

export function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i])), 0);
}
