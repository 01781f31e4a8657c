import type { WeightFormat } from '../../formats/weight_format';
import type { ExpertLinearCall, RouteCall } from '../calls';
import { rowsBatch } from '../case_batch';
import { type KernelBench, stepActivation } from '../kernel_bench';

const FORMATS: readonly WeightFormat[] = ['q4_0', 'q4_k', 'q8_0', 'mxfp4'];
const MODELS = [
  { name: 'olmoe-1b-7b', hiddenSize: 2048, size: 1024, experts: 64, topK: 8 },
  { name: 'qwen3-30b-a3b', hiddenSize: 2048, size: 768, experts: 128, topK: 8 },
] as const;

/**
 * Gate and up, and down, of the experts of one row. Inputs are zeros, so the router's logits tie and the row takes the first experts: as
 * many bytes as any others. More rows would all take the same ones, which no model does.
 */
export function expertBenches(): readonly KernelBench<RouteCall | ExpertLinearCall>[] {
  return MODELS.flatMap((model) =>
    FORMATS.flatMap((format) => [expertBench(model, format, 'gate/up'), expertBench(model, format, 'down')]),
  );
}

function expertBench(
  { name, hiddenSize, size, experts, topK }: (typeof MODELS)[number],
  format: WeightFormat,
  matrix: 'gate/up' | 'down',
): KernelBench<RouteCall | ExpertLinearCall> {
  const routing = stepActivation('routing', 2 * topK);
  const hidden = stepActivation('hidden', topK * size);
  const down = matrix === 'down';
  const x = stepActivation('x', hiddenSize);
  const stackRows = down ? hiddenSize : 2 * size;
  const { batch, numPages } = rowsBatch(1, 1);
  return {
    label: `experts ${name} ${matrix} ${format} rows 1`,
    calls: [
      {
        op: 'route',
        logits: stepActivation('logits', experts),
        experts,
        out: routing,
        scoring: 'softmax',
        normalise: true,
        scale: 1,
      },
      {
        op: 'expert_linear',
        x: down ? hidden : x,
        weight: { name: 'weight', format, rows: experts * stackRows, cols: down ? size : hiddenSize, stackRows },
        experts,
        routing,
        norm: down ? undefined : { weight: { name: 'norm', length: hiddenSize }, eps: 1e-6 },
        out: down ? x : hidden,
        outColumn: 0,
        combine: down,
        accumulate: down,
        epilogue: down ? 'none' : 'swiglu',
      },
    ],
    batch,
    bucket: { minRows: 1, maxRows: 1 },
    contextLength: 1,
    numPages,
    kvType: 'f16',
  };
}
