import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { candidatesOf, nameOf, tuningJobs } from '../../../src/model/autotune/jobs';
import { formatRecords, parseRecords, recordsName } from '../../../src/model/autotune/records';
import { PACKAGE_VERSION } from '../../../src/model/autotune/version';
import type { LinearCall } from '../../../src/ops/calls';
import { CAPABILITIES as PLAIN_CAPABILITIES } from '../../support/capabilities';

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

const CAPABILITIES = {
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
    const jobs = tuningJobs(plans, { maxRows: 256, maxSampledRows: 8 }, CAPABILITIES);
    expect(jobs.map(({ rowTile }) => rowTile)).toEqual([1, 1, 1, 'many', 'many', 16, 16, 4, 4, 4, 48, 48]);
    // A CPU has one kernel for all of them.
    const software = tuningJobs(plans, { maxRows: 256, maxSampledRows: 8 }, { ...CAPABILITIES, software: true });
    expect(software.map(({ rowTile }) => rowTile)).not.toContain(48);
    expect(jobs[0].calls.map(({ weight }) => weight.name)).toEqual(['head']);
    expect(jobs[1].calls.map(({ weight }) => weight.name)).toEqual(['layer0.large', 'layer1.large']);
    expect(new Set(jobs.map(({ key }) => key)).size).toBe(jobs.length);
  });

  it('leaves out row counts that no step has', () => {
    const jobs = tuningJobs(plans.slice(0, 1), { maxRows: 1, maxSampledRows: 1 }, CAPABILITIES);
    expect(new Set(jobs.map(({ rowTile }) => rowTile))).toEqual(new Set([1]));
  });

  it('measures the default first and every legal variant once', () => {
    const [job] = tuningJobs(plans, { maxRows: 256, maxSampledRows: 8 }, CAPABILITIES);
    const names = candidatesOf(job, CAPABILITIES, undefined).map(nameOf);
    expect(names.length).toBeGreaterThan(4);
    expect(new Set(names).size).toBe(names.length);
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
