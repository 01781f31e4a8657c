import { describe, expect, test } from 'vitest';
import { UnsupportedModelError } from '../../../src/errors';
import { isSynthetic } from '../../../src/model/origin';
import { toModelSource } from '../../../src/sdk/model_input';
import { withSource } from '../../../src/worker/open_source';
import { countParameters } from '../../../src/worker/parameters';

describe('a synthetic model by its address', () => {
  test('crosses to the worker as it is and is found there', async () => {
    const address = 'synthetic:smollm2-135m:q4_0';
    const source = toModelSource(address, true);
    expect(source).toEqual({ kind: 'url', url: address });
    const parameters = await withSource(source, {}, async (origin) => {
      expect(isSynthetic(origin)).toBe(true);
      return await countParameters(origin, undefined);
    });
    expect(parameters).toBe(134_515_008);
  });

  test('an unknown one is refused', async () => {
    const opening = withSource(toModelSource('synthetic:nothing:q4_0', false), {}, async () => undefined);
    await expect(opening).rejects.toThrow(UnsupportedModelError);
  });
});
