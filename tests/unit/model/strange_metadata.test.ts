/** Files whose metadata holds what no model has: read as something that can be planned, or refused by an error that is meant for the user. */
import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { InternalError, TesseraError } from '../../../src/errors';
import type { Gguf, GgufValue } from '../../../src/formats/gguf/gguf';
import { describeModel } from '../../../src/model/describe_model';
import { layOut, plansOf } from '../../../src/model/layout';
import { checkCall } from '../../../src/ops/registry';
import { openFixture } from '../../support/plan_logits';

const NAMES = readdirSync('tests/fixtures/models')
  .filter((file) => file.endsWith('.gguf') && !file.startsWith('quant'))
  .map((file) => file.replace(/\.gguf$/, ''));

const STRANGE: readonly GgufValue[] = [
  { type: 'u32', value: 0 },
  { type: 'u32', value: 1 },
  { type: 'u32', value: 2 ** 32 - 1 },
  { type: 'u64', value: 2 ** 53 },
  { type: 'i32', value: -3 },
  { type: 'f32', value: 0.5 },
  { type: 'f32', value: Number.NaN },
  { type: 'f32', value: Number.POSITIVE_INFINITY },
  { type: 'f32', value: 1e-30 },
  { type: 'string', value: 'strange' },
  { type: 'bool', value: false },
  { type: 'array', value: { itemType: 'f32', items: new Float32Array(0) } },
  { type: 'array', value: { itemType: 'f32', items: Float32Array.of(1, Number.NaN, 3, 4) } },
  { type: 'array', value: { itemType: 'string', items: ['a', 'b', 'c', 'd'] } },
];

/** What a load does before anything is allocated. */
function plan(gguf: Gguf): void {
  const layout = layOut(gguf, { backend: 'webgpu', contextLength: 64 }, undefined);
  for (const { calls } of plansOf(layout)) for (const call of calls) checkCall(call);
  describeModel(gguf, { backend: 'webgpu', contextLength: 64 });
}

describe.each(NAMES)('%s', (name) => {
  test('every key of its architecture with every strange value', async () => {
    const { gguf } = await openFixture(name);
    const architecture = gguf.metadata.get('general.architecture')?.value as string;
    const wrong: string[] = [];
    for (const key of [...gguf.metadata.keys()].filter((known) => known.startsWith(`${architecture}.`))) {
      for (const value of [undefined, ...STRANGE]) {
        const metadata = new Map(gguf.metadata);
        if (value === undefined) metadata.delete(key);
        else metadata.set(key, value);
        try {
          plan({ ...gguf, metadata });
        } catch (error) {
          if (error instanceof TesseraError && !(error instanceof InternalError)) continue;
          wrong.push(`${key} = ${JSON.stringify(value)}: ${String(error)}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });
});
