import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LEAST_CAPABILITIES as PLAIN_CAPABILITIES } from '../../../src/gpu/capabilities';
import { candidatesOf, nameOf, type TuningJob, tuningJobs } from '../../../src/model/autotune/jobs';
import { nextKernel } from '../../../src/model/autotune/order';
import { formatRecords, parseRecords, recordsName } from '../../../src/model/autotune/records';
import { PACKAGE_VERSION } from '../../../src/model/autotune/version';
import type { LinearCall } from '../../../src/ops/calls';
import type { GemmTuning } from '../../../src/ops/tuning';

function linear(name: string, cols: number, rows: number, more: Partial<LinearCall> = {}): LinearCall {
  return {
    op: 'linear',
    x: { name: 'x', cols, rows: 'step', type: 'f32' },
    weight: { name, format: 'q4_0', rows, cols },
    out: { name: 'y', cols: rows, rows: 'step', type: 'f32' },
    outColumn: 0,
    accumulate: false,
    epilogue: 'none',
    ...more,
  };
}

const LEAST_CAPABILITIES = {
  ...PLAIN_CAPABILITIES,
  f16: true,
  subgroups: true,
  subgroupMinSize: 32,
  subgroupMaxSize: 32,
  dot4: true,
  adapter: { vendor: 'v', architecture: 'a', device: 'd', description: 'x' },
};

const logits = { name: 'logits', cols: 1000, rows: 'sampled', type: 'f32' } as const;
const calls = [
  linear('layer0.small', 64, 64),
  linear('layer0.large', 64, 256),
  linear('layer1.small', 64, 64),
  linear('layer1.large', 64, 256),
  linear('head', 64, 1000, { out: logits }),
];
const plans = [
  { bucket: { minRows: 1, maxRows: 1 }, calls },
  { bucket: { minRows: 2, maxRows: 16 }, calls },
  { bucket: { minRows: 17, maxRows: 256 }, calls },
];

describe('autotuner', () => {
  it('decides decode first, then prefill; layers with the same kernels share a choice', () => {
    const jobs = tuningJobs(plans, { maxRows: 256, maxSampledRows: 8 }, LEAST_CAPABILITIES);
    expect(jobs.map(({ rowTile }) => rowTile)).toEqual([1, 1, 1, 'many', 'many', 16, 16, 4, 4, 4, 48, 48]);
    // A CPU has one kernel for all of them.
    const software = tuningJobs(plans, { maxRows: 256, maxSampledRows: 8 }, { ...LEAST_CAPABILITIES, software: true });
    expect(software.map(({ rowTile }) => rowTile)).not.toContain(48);
    expect(jobs[0].calls.map(({ weight }) => weight.name)).toEqual(['head']);
    expect(jobs[1].calls.map(({ weight }) => weight.name)).toEqual(['layer0.large', 'layer1.large']);
    expect(new Set(jobs.map(({ key }) => key)).size).toBe(jobs.length);
  });

  it('leaves out row counts that no step has', () => {
    const jobs = tuningJobs(plans.slice(0, 1), { maxRows: 1, maxSampledRows: 1 }, LEAST_CAPABILITIES);
    expect(new Set(jobs.map(({ rowTile }) => rowTile))).toEqual(new Set([1]));
    // Of 20 rows, 17 to 20 are the tile's of 48, and none the one's behind it.
    const few = tuningJobs(plans, { maxRows: 20, maxSampledRows: 1 }, LEAST_CAPABILITIES);
    expect(few.map(({ rowTile, rows, partialRows }) => [rowTile, rows, partialRows])).toContainEqual([48, 20, 17]);
    expect(few.map(({ rowTile }) => rowTile)).not.toContain('many');
  });

  it('measures the default first and every legal variant once', () => {
    const [job] = tuningJobs(plans, { maxRows: 256, maxSampledRows: 8 }, LEAST_CAPABILITIES);
    const names = candidatesOf(job, LEAST_CAPABILITIES, undefined).map(nameOf);
    expect(names.length).toBeGreaterThan(4);
    expect(new Set(names).size).toBe(names.length);
  });

  it('measures no two variants of many rows that run alike, nor one that the device has no room for', () => {
    const x = { name: 'x', cols: 2048, rows: 'step', type: 'f16' } as const;
    const variants = (rows: number, cols: number, maxRows: number): GemmTuning[] => {
      const call = linear('w', cols, rows, { x: { ...x, cols } });
      const jobs = tuningJobs(
        [{ bucket: { minRows: 17, maxRows }, calls: [call] }],
        { maxRows, maxSampledRows: 1 },
        LEAST_CAPABILITIES,
      );
      const job = jobs.find(({ rowTile }) => rowTile === 'many') as TuningJob;
      return candidatesOf(job, LEAST_CAPABILITIES, undefined) as GemmTuning[];
    };
    // Tiles of 32 to 128 rows: 64 to 256 workgroups, which 64 never splits, and 512 otherwise than 256.
    const few = variants(2048, 2048, 256);
    expect(few.filter(({ tileRows }) => tileRows === 64).map(({ splitTo }) => splitTo)).toContain(512);
    expect(few.filter(({ splitTo }) => splitTo === 64)).toEqual([]);
    expect(few[0].splitTo).toBe(256);
    // Nothing splits here: the default's choice for steps of fewer rows is kept.
    const many = variants(8192, 2048, 1024);
    expect(new Set(many.map(({ splitTo }) => splitTo))).toEqual(new Set([256]));
    const codes = (all: readonly GemmTuning[]): number => all.filter(({ tileType }) => tileType === 'i8').length;
    expect(codes(few)).toBeGreaterThan(codes(many));
    expect(codes(many)).toBe(4);
    expect(codes(variants(2048, 16384, 8192))).toBe(0);
  });

  it('measures a few variants of every kernel before more of any, and after its time only where nothing right is known', () => {
    const kernel = (round: number, isWrong = false) => ({ round, isWrong });
    const [first, second, third] = [kernel(1), kernel(0), kernel(0)];
    expect(nextKernel([first, second, third], 10, 1000)).toBe(second);
    expect(nextKernel([first, second], 1000, 1000)).toBeUndefined();
    const wrong = kernel(3, true);
    expect(nextKernel([first, second, wrong], 10, 1000)).toBe(second);
    expect(nextKernel([first, second, wrong], 1000, 1000)).toBe(wrong);
    expect(nextKernel([wrong], 5000, 1000)).toBeUndefined();
    expect(nextKernel([wrong], 0, 0)).toBeUndefined();
  });

  it('keeps what it measured as text, and takes nothing from a text that is broken', () => {
    const records = new Map([
      [
        'key',
        new Map<string, number | 'wrong'>([
          ['fast', 1.5],
          ['bad', 'wrong'],
        ]),
      ],
    ]);
    expect(parseRecords(formatRecords(records))).toEqual(records);
    for (const text of [undefined, '', '{', '[]', '7', 'null', '{"key":[1]}', '{"key":{"fast":"soon","slow":-1}}']) {
      expect(
        [...parseRecords(text).values()].every(({ size }) => size === 0),
        text,
      ).toBe(true);
    }
  });

  it('another adapter, driver, feature, version or browser has records of its own', () => {
    const adapter = { vendor: 'v', architecture: 'a', device: 'd', description: 'driver 1' };
    const names = [
      recordsName(adapter, ['f16'], '1'),
      recordsName({ ...adapter, description: 'driver 2' }, ['f16'], '1'),
      recordsName({ ...adapter, device: 'e' }, ['f16'], '1'),
      recordsName(adapter, [], '1'),
      recordsName(adapter, ['f16'], '2'),
      recordsName(adapter, ['f16'], '1', 'Chrome/141'),
      recordsName(adapter, ['f16'], '1', 'Chrome/142'),
    ];
    expect(new Set(names).size).toBe(names.length);
  });

  it('knows the version of the package', () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(PACKAGE_VERSION).toBe(version);
  });
});
