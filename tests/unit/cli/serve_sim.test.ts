import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { main } from '../../../src/cli/main';

const DEMO = 'public/models/demo.q8_0.gguf';
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'serve-sim-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function serveSim(trace: string, ...args: string[]) {
  const file = join(folder, 'trace.json');
  await writeFile(file, trace);
  let out = '';
  let err = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    out += String(chunk);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    err += String(chunk);
    return true;
  });
  const status = await main(['serve-sim', DEMO, '--backend', 'reference', '--ctx', '64', '--trace', file, ...args]);
  vi.restoreAllMocks();
  return { status, out, err };
}

const request = (arrivalMs: number, outputTokens: number) => ({ arrivalMs, promptTokens: 2, outputTokens });

test('both ways serve the whole trace; the one that fills free places needs fewer steps', async () => {
  const trace = [request(0, 24), request(0, 5), request(0, 5), request(1, 5)];
  const { status, out, err } = await serveSim(JSON.stringify(trace), '--concurrency', '2', '--json');
  expect(err).toContain('4 requests, 2 at once');
  expect(status).toBe(0);
  const report = JSON.parse(out);
  // Static: 24, then 5. Continuous: the three short ones beside the long one.
  expect(report.static.steps).toBeGreaterThanOrEqual(29);
  expect(report.continuous.steps).toBeLessThan(report.static.steps);
  for (const { steps, tokensPerStep, tokensPerSecond, latencyMs, timeToFirstTokenMs, kvWaste } of Object.values<
    Record<string, never>
  >(report)) {
    expect(tokensPerStep).toBeCloseTo(39 / steps, 6);
    expect(tokensPerSecond).toBeGreaterThan(0);
    for (const times of [latencyMs, timeToFirstTokenMs]) expect(Object.keys(times)).toEqual(['p50', 'p95', 'p99']);
    expect(kvWaste).toBeGreaterThan(0.2);
  }
});

test.each([
  ['{', /--trace.*no JSON/],
  ['[]', /--trace.*array/],
  ['[{"arrivalMs": -1, "promptTokens": 1, "outputTokens": 1}]', /arrivalMs of request 0 is -1/],
  ['[{"arrivalMs": 0, "promptTokens": 1.5, "outputTokens": 1}]', /promptTokens of request 0/],
  ['[{"arrivalMs": 0, "promptTokens": 1}]', /outputTokens of request 0 is undefined/],
  ['[{"arrivalMs": 0, "promptTokens": 60, "outputTokens": 5}]', /exceeds the context of 64/],
])('a trace like %s is refused', async (trace, problem) => {
  const { status, err } = await serveSim(trace);
  expect(status).toBe(1);
  expect(err).toMatch(problem);
});

test('options that contradict each other or are no counts are refused by name', async () => {
  expect((await serveSim('[]', '--requests', '3')).err).toMatch(/--requests/);
  expect((await serveSim('[]', '--concurrency', '0')).err).toMatch(/--concurrency/);
});
