import { GREEDY } from '../../engine/runner';
import { rowsBatch } from '../case_batch';
import type { ArgmaxCall, SampleCall, SampleChainCall } from '../decoding_calls';
import { BENCH_SHAPES, type KernelBench } from '../kernel_bench';
import { samplerStates } from '../sampler_state';

const PLAIN = { ...GREEDY, temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05 };

const SETTINGS = {
  argmax: GREEDY,
  sample: PLAIN,
  sample_chain: { ...PLAIN, topNSigma: 2, typicalP: 0.97, xtcProbability: 0.5, dynatempRange: 0.3 },
} as const;

/** The choice of a token among a large vocabulary: greedy, by the plain sampler, and by a long chain. */
export function sampleBenches(): readonly KernelBench<ArgmaxCall | SampleCall | SampleChainCall>[] {
  const [{ name, vocabSize }] = BENCH_SHAPES;
  const states = samplerStates({ vocabSize, maxSlots: 1, maxSampledRows: 1, contextLength: 1 });
  const logits = { name: 'logits', cols: vocabSize, rows: 'sampled', type: 'f32' } as const;
  return (['argmax', 'sample', 'sample_chain'] as const).map((op) => {
    const { batch, numPages } = rowsBatch(1, 1);
    const segments = batch.segments.map((segment) => ({
      ...segment,
      sample: 'last' as const,
      sampling: SETTINGS[op],
    }));
    return {
      label: `${op} ${name} vocabulary ${vocabSize}`,
      calls: [{ op, logits, ...states }],
      batch: { segments },
      bucket: { minRows: 1, maxRows: 1 },
      contextLength: 1,
      numPages,
      kvType: 'f16',
    };
  });
}
