import { GREEDY } from '../engine/runner';
import { InvalidOptionError } from '../errors';
import { GpuDevice } from '../gpu/device';
import { type CallComparison, compareStep } from './compare';
import { type LoadModelOptions, layOut } from './layout';
import { weightOptions } from './load_model';
import { type ModelOrigin, readHeader } from './origin';
import { prepareReference } from './prepare_reference';
import { prepareWebGpu } from './prepare_webgpu';
import { wholePool } from './whole_pool';

/**
 * Runs `tokens` as one step of a model on the GPU and on the reference executor and measures every call's output: where a model
 * answers wrongly on some GPU, this names the op. f16 activations are left out, their reference being f32.
 */
export async function compareModel(
  source: ModelOrigin,
  options: LoadModelOptions,
  tokens: readonly number[],
): Promise<CallComparison[]> {
  const { gpu, without, defaultLimits } = options;
  const device = await GpuDevice.create({ gpu, without, defaultLimits });
  try {
    const gguf = await readHeader(source, options);
    // Unless asked for, no f16 cache: it would round what later calls read, and the comparison is about arithmetic.
    const layout = layOut(
      gguf,
      { ...options, kvType: options.kvType ?? 'f32', activationType: 'f32' },
      device.capabilities,
    );
    const { maxRows } = layout.limits;
    if (tokens.length > maxRows)
      throw new InvalidOptionError('tokens', `${tokens.length} are more than a step's ${maxRows}`);
    const reference = await prepareReference(gguf, source, layout, { signal: options.signal });
    const prepareOptions = { ...weightOptions(options), tune: options.tune };
    const { tensors, plans, encoder } = await prepareWebGpu(device, gguf, source, layout, prepareOptions);
    const { plan } = plans.find(({ bucket }) => tokens.length <= bucket.maxRows) ?? plans[plans.length - 1];
    const { pages, slidingPages } = wholePool(layout.limits);
    const batch = {
      segments: [
        {
          slot: 0,
          tokens,
          position: 0,
          pages: [...pages].reverse(),
          slidingPages,
          sample: 'last' as const,
          sampling: GREEDY,
        },
      ],
    };
    return await compareStep({ gpu: device, tensors, plan, encoder, reference }, batch);
  } finally {
    device.dispose();
  }
}
