import { expect, test } from 'vitest';
import type { BenchmarkReport } from '../../../src/bench';
import { roofAt, rooflineOf } from '../../../src/pages/benchmark/roofline';

const ms = { median: 2, min: 1, max: 3, runs: 3 };
const step = (rows: number, depth: number) => ({
  rows,
  depth,
  ms,
  tokensPerSecond: 500,
  least: { weightBytes: 3e6, kvBytes: 1e6, flops: rows * 8e6 },
});
const report = {
  machine: { streamReadGBs: 10, fmaGFLOPs: { f32: 100 } },
  decode: [step(1, 0), step(1, 16_384)],
  rows: [
    { ...step(1, 0), cost: 1 },
    { ...step(8, 0), cost: 1.5 },
  ],
  prefill: [{ tokens: 512, ms, tokensPerSecond: 1, least: { weightBytes: 4e6, kvBytes: 0, flops: 4e9 } }],
} as unknown as BenchmarkReport;

test('every step is a point: operations per byte, operations per second', () => {
  const roofline = rooflineOf(report);
  expect(roofline?.points).toEqual([
    { kind: 'decode', label: '0', intensity: 2, gflops: 4 },
    { kind: 'decode', label: '16k', intensity: 2, gflops: 4 },
    { kind: 'rows', label: '×8', intensity: 16, gflops: 32 },
    { kind: 'prefill', label: '512', intensity: 1000, gflops: 2000 },
  ]);
});

test('the roof is the bandwidth up to the peak', () => {
  const roofline = rooflineOf(report);
  if (!roofline) throw new Error('no roofline');
  expect([1, 10, 1000].map((intensity) => roofAt(roofline, intensity))).toEqual([10, 100, 100]);
});

test('without yardsticks or points there is no chart', () => {
  expect(rooflineOf({ ...report, machine: undefined })).toBeUndefined();
  expect(rooflineOf({ ...report, decode: [], rows: [], prefill: [] })).toBeUndefined();
});
