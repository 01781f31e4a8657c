import { expect, test } from 'vitest';
import type { Capabilities } from '../../../src/gpu/capabilities';
import { LEAST_CAPABILITIES } from '../../../src/gpu/capabilities';
import { caseKernels } from '../../../src/model/case_target';
import type { ExpertLinearCall } from '../../../src/ops/calls';
import { expertLinearCase } from '../../../src/ops/experts/cases';
import { defaultExpertTuning, expertTuningKey, expertTunings } from '../../../src/ops/experts/tuning';
import { expertTuningCases } from '../../../src/ops/experts/variant_cases';
import type { ExpertTuning } from '../../../src/ops/tuning';

const capabilities = { ...LEAST_CAPABILITIES, f16: true, subgroups: true };
const SMALL = { format: 'q4_0', rows: 3, experts: 8, topK: 4, cols: 1024, outs: 64 } as const;
const LARGE = { ...SMALL, rows: 70, tileRows: 64 } as const;

function expertCall(shape: Parameters<typeof expertLinearCase>[0]): ExpertLinearCall {
  return expertLinearCase(shape, 1).calls.find(({ op }) => op === 'expert_linear') as ExpertLinearCall;
}

test('every tuning makes a kernel of its own at default limits', () => {
  const kernels = expertTuningCases(capabilities, 1).map((opCase) => caseKernels(opCase, capabilities)?.variants);
  expect(kernels.length).toBeGreaterThan(100);
  expect(kernels).not.toContain(undefined);
  expect(new Set(kernels).size).toBe(kernels.length);
});

test.each([
  ['few rows', SMALL],
  ['few rows, added up', { ...SMALL, with: ['combine'] as const }],
  ['few rows without subgroups', SMALL, { subgroups: false }],
  ['many rows', LARGE],
  ['many rows in short tiles', { ...LARGE, tileRows: 32 as const }],
  ['many rows of halves', { ...LARGE, type: 'f16' as const }],
])('what runs by default is a choice: %s', (_, shape, less: Partial<Capabilities> = {}) => {
  const here = { ...capabilities, ...less };
  const call = expertCall(shape);
  expect(expertTunings(call, here)).toContainEqual(defaultExpertTuning(call, here));
});

test('a choice that does not run here is refused', () => {
  const [first] = expertTunings(expertCall(SMALL), capabilities);
  const tuned = (tuning: ExpertTuning) => () => caseKernels(expertLinearCase(SMALL, 1, tuning), capabilities);
  expect(tuned(first)).not.toThrow();
  expect(tuned({ ...first, slots: 4 } as ExpertTuning)).toThrow(/cannot run with/);
  expect(tuned({ ...first, block: 512 } as unknown as ExpertTuning)).toThrow(/cannot run with/);
  expect(tuned(expertTunings(expertCall(LARGE), capabilities)[0])).toThrow(/cannot run with/);
});

test('keys tell apart what runs other kernels', () => {
  const calls = [
    expertCall(SMALL),
    expertCall(LARGE),
    expertCall({ ...LARGE, tileRows: 32 }),
    expertCall({ ...SMALL, with: ['norm'] }),
    expertCall({ ...SMALL, with: ['combine'] }),
    expertCall({ ...SMALL, with: ['slots'] }),
    expertCall({ ...SMALL, topK: 2 }),
    expertCall({ ...SMALL, epilogue: 'geglu' }),
    expertCall({ ...SMALL, format: 'q8_0' }),
  ];
  expect(new Set(calls.map(expertTuningKey)).size).toBe(calls.length);
  const [call] = calls;
  expect(expertTuningKey({ ...call, weight: { ...call.weight, name: 'another layer' } })).toBe(expertTuningKey(call));
});
