import { expect, test } from 'vitest';
import { type Capabilities, LEAST_CAPABILITIES } from '../../../../src/gpu/capabilities';
import { caseKernels } from '../../../../src/model/case_target';
import { attentionBenches } from '../../../../src/ops/attention/bench';
import { linearBenches } from '../../../../src/ops/linear/bench';
import { sampleBenches } from '../../../../src/ops/sample/bench';

/** Default limits, but for the bindings that the largest matrix needs to lie in one piece. */
const LIMITS: Capabilities = {
  ...LEAST_CAPABILITIES,
  limits: { ...LEAST_CAPABILITIES.limits, maxBufferSize: 2 ** 31, maxStorageBufferBindingSize: 2 ** 31 },
};

test('every kernel bench has a name of its own and kernels that run it at default limits', () => {
  const benches = [...linearBenches(), ...attentionBenches(), ...sampleBenches()];
  const labels = benches.map(({ label }) => label);
  expect(new Set(labels).size).toBe(labels.length);
  for (const text of ['llama-3.2-1b', 'llama-3.1-8b', 'q4_0 rows 1', 'attention', 'argmax']) {
    expect(labels.some((label) => label.includes(text))).toBe(true);
  }
  const entries = (label: RegExp): string[] =>
    benches
      .filter((bench) => label.test(bench.label))
      .map((bench) => caseKernels({ ...bench, outputs: [] }, LIMITS)?.files ?? '');
  expect(entries(/./).every((files) => files !== '')).toBe(true);
  expect(entries(/^linear .* rows 256$/).every((files) => files.includes('linear_gemm'))).toBe(true);
  expect(entries(/^linear .* rows (1|4|16)$/).every((files) => files.includes('linear_gemv'))).toBe(true);
});
