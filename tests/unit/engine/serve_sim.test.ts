import { expect, test } from 'vitest';
import { percentiles } from '../../../src/engine/percentiles';
import type { RunnerLimits } from '../../../src/engine/runner';
import { randomTrace, simulateServing } from '../../../src/engine/serve_sim';
import { ContextLengthError } from '../../../src/errors';
import { FakeRunner } from './fake_runner';

const LIMITS: RunnerLimits = {
  vocabSize: 50,
  contextLength: 400,
  maxRows: 64,
  maxSampledRows: 16,
  maxSlots: 8,
  pageSize: 8,
  numPages: 200,
};

test('continuous batching needs less than half of the steps of static batching', async () => {
  const trace = randomTrace({
    requests: 96,
    seed: 3,
    contextLength: 400,
    meanArrivalMs: 0.01,
    meanPrompt: 8,
    meanOutput: 24,
  });
  const runner = new FakeRunner(LIMITS, () => 1);
  const report = await simulateServing(runner, trace, { concurrency: 8, seed: 3 });
  const tokens = trace.reduce((sum, { outputTokens }) => sum + outputTokens, 0);
  for (const { steps, tokensPerStep, latencyMs, timeToFirstTokenMs } of [report.static, report.continuous]) {
    expect(tokensPerStep).toBeCloseTo(tokens / steps, 6);
    expect(latencyMs.p50).toBeLessThanOrEqual(latencyMs.p95);
    expect(timeToFirstTokenMs.p50).toBeLessThan(latencyMs.p50);
  }
  // Eight at once: no fewer steps than that, and no fewer than the longest output.
  expect(report.continuous.steps).toBeGreaterThanOrEqual(tokens / 8);
  expect(report.continuous.tokensPerStep).toBeGreaterThanOrEqual(2 * report.static.tokensPerStep);
});

test('under 4 % of a full pool hold nothing, at a mean length of 500', async () => {
  const limits = { ...LIMITS, contextLength: 3000, pageSize: 32, numPages: 130, maxRows: 256, maxSlots: 16 };
  const trace = randomTrace({
    requests: 60,
    seed: 5,
    contextLength: 3000,
    meanArrivalMs: 0.01,
    meanPrompt: 450,
    meanOutput: 100,
  });
  const lengths = trace.map(({ promptTokens, outputTokens }) => promptTokens + outputTokens);
  expect(Math.abs(lengths.reduce((a, b) => a + b) / lengths.length - 500)).toBeLessThan(100);
  const { continuous } = await simulateServing(new FakeRunner(limits, () => 1), trace, { concurrency: 16, seed: 5 });
  // Full until the trace runs out.
  expect(continuous.poolUse).toBeGreaterThan(0.75);
  expect(continuous.kvWaste).toBeGreaterThan(0);
  expect(continuous.kvWaste).toBeLessThan(0.04);
});

test('a trace is the same for the same seed and fits the context', () => {
  const options = { requests: 200, seed: 9, contextLength: 64 };
  const trace = randomTrace(options);
  expect(randomTrace(options)).toEqual(trace);
  expect(randomTrace({ ...options, seed: 10 })).not.toEqual(trace);
  for (const { promptTokens, outputTokens } of trace) {
    expect(Math.min(promptTokens, outputTokens)).toBeGreaterThan(0);
    expect(promptTokens + outputTokens).toBeLessThanOrEqual(64);
  }
  expect(trace.every(({ arrivalMs }, i) => i === 0 || arrivalMs >= trace[i - 1].arrivalMs)).toBe(true);
});

test('a request that no context holds rejects', async () => {
  const long = [{ arrivalMs: 0, promptTokens: 400, outputTokens: 1 }];
  const simulation = simulateServing(new FakeRunner(LIMITS, () => 0), long, { concurrency: 2, seed: 1 });
  await expect(simulation).rejects.toThrow(ContextLengthError);
});

test('percentiles are values that occurred', () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect(percentiles(values)).toEqual({ p50: 50, p95: 95, p99: 99 });
  expect(percentiles([7])).toEqual({ p50: 7, p95: 7, p99: 7 });
  expect(percentiles([])).toEqual({ p50: 0, p95: 0, p99: 0 });
});
