import { expect, test } from 'vitest';
import { reportMarkdown } from '../../../../src/model/bench/markdown';
import { measureModel, type Recorder } from '../../../../src/model/bench/measure_model';
import type { BenchmarkReport, BenchmarkSettings } from '../../../../src/model/bench/report';
import { reportTables } from '../../../../src/model/bench/tables';
import type { LoadedModel } from '../../../../src/model/load_model';
import { ScriptedRunner } from '../../../support/scripted_runner';

const SETTINGS: BenchmarkSettings = {
  prefill: [128, 10, 200],
  depths: [0, 100, 5000],
  rows: [1, 3, 10],
  tokens: 14,
  repetitions: 2,
  maxSeconds: 5,
};

const EMPTY: BenchmarkReport = {
  date: '2026-11-21T10:00:00.000Z',
  environment: { backend: 'reference', runtime: 'a | test', features: [] },
  model: {
    name: 'scripted',
    architecture: 'none',
    parameters: 1.5e6,
    contextLength: 160,
    trainedContextLength: 160,
    kvType: 'f32',
    activationType: 'f32',
    weightBytes: 3 << 20,
  },
  settings: SETTINGS,
  prefill: [],
  decode: [],
  rows: [],
  choices: [],
  leftOut: [],
};

async function measure(
  settings: BenchmarkSettings,
): Promise<{ report: BenchmarkReport; runner: ScriptedRunner; said: string[] }> {
  const runner = new ScriptedRunner([], 3, { vocabSize: 100, contextLength: 160 });
  const said: string[] = [];
  const recorder: Recorder & { report: BenchmarkReport } = {
    report: EMPTY,
    doing: (what) => void said.push(what),
    add: (part) => {
      recorder.report = { ...recorder.report, ...part };
    },
    leaveOut: (what, reason) => recorder.add({ leftOut: [...recorder.report.leftOut, { what, reason }] }),
  };
  const model = { runner, device: undefined, description: { kvType: 'f32' } } as unknown as LoadedModel;
  await measureModel(model, recorder, settings);
  return { report: recorder.report, runner, said };
}

test('measures what fits, in the steps that the engine would make', async () => {
  const { report, said } = await measure(SETTINGS);
  expect(report.prefill.map(({ tokens }) => tokens)).toEqual([10, 128]);
  expect(report.decode.map(({ depth }) => depth)).toEqual([0, 100]);
  const [shallow, deep] = report.decode;
  expect([shallow.cost, deep.cost]).toEqual([1, deep.ms.median / shallow.ms.median]);
  expect(report.rows.map(({ rows }) => rows)).toEqual([1, 3, 10]);
  expect(report.rows[0].cost).toBe(1);
  expect(report.rows[2].tokensPerSecond).toBeCloseTo(10_000 / report.rows[2].ms.median);
  expect(report.generation).toMatchObject({ tokens: 14, ms: { runs: 2 } });
  for (const { ms } of [...report.prefill, ...report.decode, ...report.rows]) {
    expect(ms.runs).toBe(2);
    expect(ms.min).toBeGreaterThan(0);
  }
  expect(said).toContain('decode at depth 100');
});

test('without a step of one row the cost of more is not guessed', async () => {
  const { report } = await measure({ ...SETTINGS, prefill: [], depths: [], rows: [4], tokens: 0 });
  expect(report.rows).toEqual([]);
  expect(report.leftOut).toEqual([{ what: 'cost of 4 rows', reason: 'the time of one row was not measured' }]);
  expect(report.generation).toBeUndefined();
});

test('the report survives JSON, and its Markdown has a line for every point', async () => {
  const { report } = await measure(SETTINGS);
  expect(JSON.parse(JSON.stringify(report))).toMatchObject({ prefill: [{ tokens: 10 }, { tokens: 128 }] });
  const full: BenchmarkReport = {
    ...(JSON.parse(JSON.stringify(report)) as BenchmarkReport),
    machine: { streamReadGBs: 812.345, fmaGFLOPs: { f32: 20_123 } },
    selfTest: { passed: 9, failures: [{ op: 'linear', label: 'linear q4_0', reason: 'error 1 of 1e-9' }] },
    profile: [{ step: 'decode', kernels: [{ label: 'gemv', dispatches: 2, ms: 0.5, bytes: 1e6 }] }],
    choices: [{ key: 'gemv q4_0', choice: '128 × 2' }],
    leftOut: [{ what: 'decode', reason: 'a | b\nc' }],
  };
  const titles = reportTables(full).map(({ title }) => title);
  expect(titles).toEqual([
    'Run',
    'Machine',
    'Prefill',
    'Decode',
    'Rows of one step',
    'Whole engine, greedy',
    'Kernels of one step: decode',
    'Tuned kernels',
    'Left out',
  ]);
  const lines = reportMarkdown(full).split('\n');
  expect(lines).toContain('| runtime | a \\| test |');
  expect(lines).toContain('| decode | a \\| b c |');
  expect(lines).toContain('| reads from memory | 812 GB/s |');
  expect(lines).toContain('| multiply-adds in f32 | 20100 GFLOP/s |');
  expect(lines).toContain('| gemv | 2 | 0.500 | 100% | 2 |');
  expect(lines).toContain('| self-test | 1 FAILED, 9 passed |');
  for (const line of lines.filter((text) => text.startsWith('|'))) expect(line).toMatch(/\|$/);
});
