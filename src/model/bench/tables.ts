import type { AdapterDescription } from '../../gpu/capabilities';
import type { MachineSpeed } from '../../gpu/micro_bench';
import type { KernelReport } from './measure_kernels';
import type { BenchmarkReport, ProfiledStepTable } from './report';
import type { Spread } from './statistics';

/** A part of a report as text in rows, for any medium. The first column is text, the others are figures. */
export interface ReportTable {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Everything of a report that has been measured so far, in the order of reading. */
export function reportTables(report: BenchmarkReport): readonly ReportTable[] {
  const tables: ReportTable[] = [
    { title: 'Run', head: ['', ''], rows: facts(report) },
    ...(report.machine ? [machineTable(report.environment.adapter, report.machine)] : []),
    {
      title: 'Load and first token',
      head: ['', 'measured', 'fastest … slowest', 'runs', ''],
      rows: [...loadRows(report), ...firstTokenRows(report)],
    },
    {
      title: 'Prefill',
      head: ['prompt tokens', 'tokens/s', 'ms', 'fastest … slowest', 'runs', 'of the FMA peak'],
      rows: report.prefill.map(({ tokens, tokensPerSecond, ms, fractionOfPeak }) => [
        String(tokens),
        figure(tokensPerSecond),
        ...spread(ms),
        percent(fractionOfPeak),
      ]),
    },
    {
      title: 'Decode',
      head: [
        'depth',
        'tokens/s',
        'ms',
        'fastest … slowest',
        'runs',
        'over depth 0',
        'bytes a token',
        'of the bandwidth',
      ],
      rows: report.decode.map(({ depth, cost, tokensPerSecond, ms, least, fractionOfBandwidth }) => [
        String(depth),
        figure(tokensPerSecond),
        ...spread(ms),
        cost?.toFixed(2) ?? '',
        least ? bytes(least.weightBytes + least.kvBytes) : '',
        percent(fractionOfBandwidth),
      ]),
    },
    {
      title: 'Rows of one step',
      head: ['rows', 'v(n)', 'ms', 'fastest … slowest', 'runs', 'rows/s', 'of the bandwidth'],
      rows: report.rows.map(({ rows, cost, ms, tokensPerSecond, fractionOfBandwidth }) => [
        String(rows),
        cost.toFixed(2),
        ...spread(ms),
        figure(tokensPerSecond),
        percent(fractionOfBandwidth),
      ]),
    },
    {
      title: 'Whole engine, greedy',
      head: ['', 'measured', 'fastest … slowest', 'runs'],
      rows: generationRows(report),
    },
    ...(report.profile ?? []).map(profileTable),
    {
      title: 'Tuned kernels',
      head: ['kernel', 'choice'],
      rows: report.choices.map(({ key, choice }) => [key, choice]),
    },
    {
      title: 'Left out',
      head: ['what', 'why'],
      rows: report.leftOut.map(({ what, reason }) => [what, reason]),
    },
  ];
  return tables.filter(({ rows }) => rows.length > 0);
}

/** A name for people; browsers tell little. */
export function adapterName({ description, device, vendor, architecture }: AdapterDescription): string {
  return description || device || [vendor, architecture].filter(Boolean).join(' ') || 'WebGPU';
}

function facts({ date, environment, model, selfTest, settings, gpuBytes }: BenchmarkReport): string[][] {
  const { adapter, features, limits } = environment;
  const parts = adapter && [adapter.vendor, adapter.architecture, adapter.device].filter(Boolean).join(', ');
  const rows = [
    ['model', `${model.name} (${model.architecture}, ${figure(model.parameters / 1e6)} M parameters)`],
    ['weights', bytes(model.weightBytes)],
    ['context', `${model.contextLength} positions in ${model.kvType}, trained for ${model.trainedContextLength}`],
    ['activations', model.activationType],
    ['adapter', adapter ? adapterName(adapter) + (parts ? ` (${parts})` : '') : 'reference executor, no GPU'],
    ['runtime', environment.runtime],
    ['date', date.slice(0, 10)],
    ['repetitions', `${settings.repetitions} after one to warm up, at most ${settings.maxSeconds} s each measurement`],
  ];
  if (adapter) rows.push(['features', features.join(', ') || 'none']);
  if (limits) {
    const { maxBufferSize, maxStorageBufferBindingSize, maxComputeWorkgroupStorageSize } = limits;
    rows.push([
      'limits',
      `buffer ${bytes(maxBufferSize)}, binding ${bytes(maxStorageBufferBindingSize)}, workgroup memory ${bytes(maxComputeWorkgroupStorageSize)}, ${limits.maxComputeInvocationsPerWorkgroup} invocations`,
    ]);
  }
  if (gpuBytes !== undefined) rows.push(['GPU memory', bytes(gpuBytes)]);
  if (selfTest) {
    const { passed, failures } = selfTest;
    rows.push([
      'self-test',
      failures.length === 0 ? `${passed} passed` : `${failures.length} FAILED, ${passed} passed`,
    ]);
    for (const { op, label, reason } of failures) rows.push([`self-test FAIL: ${op}`, `${label}: ${reason}`]);
  }
  return rows;
}

/** The yardsticks of an adapter. */
export function machineTable(adapter: AdapterDescription | undefined, machine: MachineSpeed): ReportTable {
  const { f32, f16 } = machine.fmaGFLOPs;
  return {
    title: 'Machine',
    head: ['yardstick', adapter ? adapterName(adapter) : 'measured'],
    rows: [
      ['reads from memory', `${figure(machine.streamReadGBs)} GB/s`],
      ['multiply-adds in f32', `${figure(f32)} GFLOP/s`],
      ...(f16 === undefined ? [] : [['multiply-adds in f16', `${figure(f16)} GFLOP/s`]]),
    ],
  };
}

/** Single kernels, and what shares of the machine's limits they reach. */
export function kernelTables({ kernels, clock, leftOut }: KernelReport, machine: MachineSpeed): ReportTable[] {
  const tables: ReportTable[] = [
    {
      title: `Kernels (${clock === 'wall' ? 'wall time of many runs in a submit' : 'the GPU’s clock'})`,
      head: ['kernel', 'ms', 'fastest … slowest', 'runs', 'GB/s', 'of the bandwidth', 'GFLOP/s', 'of the FMA peak'],
      rows: kernels.map(({ label, ms, gbPerSecond, gflops }) => [
        label,
        ...spread(ms),
        figure(gbPerSecond),
        percent(gbPerSecond / machine.streamReadGBs),
        gflops > 0 ? figure(gflops) : '',
        gflops > 0 ? percent(gflops / machine.fmaGFLOPs.f32) : '',
      ]),
    },
    { title: 'Left out', head: ['what', 'why'], rows: leftOut.map(({ what, reason }) => [what, reason]) },
  ];
  return tables.filter(({ rows }) => rows.length > 0);
}

function loadRows({ load }: BenchmarkReport): string[][] {
  if (!load) return [];
  const row = (name: string, perSecond: number, ms: Spread, note: string): string[] => {
    const rate = (time: number): string => figure(load.bytes / 1000 / time);
    return [name, `${figure(perSecond / 1e6)} MB/s`, between(ms, rate), String(ms.runs), note];
  };
  return [
    row(
      `load of ${bytes(load.bytes)}`,
      load.bytesPerSecond,
      load.ms,
      `${percent(load.fractionOfCopy)} of the plain copy`,
    ),
    row('plain copy of the same', load.copyBytesPerSecond, load.copyMs, ''),
  ];
}

function firstTokenRows({ firstToken }: BenchmarkReport): string[][] {
  if (!firstToken) return [];
  const { promptTokens, coldMs, warmMs } = firstToken;
  const [warm, range, runs] = spread(warmMs);
  return [
    ['first token, cold', `${figure(coldMs)} ms`, '', '1', 'from the call that loads the model'],
    ['first token, warm', `${warm} ms`, range, runs, `prompt of ${promptTokens} tokens`],
  ];
}

function generationRows({ generation, decode }: BenchmarkReport): string[][] {
  if (!generation) return [];
  const { tokens, ms, tokensPerSecond, callsPerToken, jsMsPerToken } = generation;
  const perSecond = (time: number): string => figure((tokens / time) * 1000);
  const rows = [
    ['tokens/s', figure(tokensPerSecond), between(ms, perSecond), String(ms.runs)],
    ['JavaScript ms a token', figure(jsMsPerToken), '', String(ms.runs)],
  ];
  const names: Readonly<Record<string, string>> = {
    dispatches: 'dispatches',
    passes: 'passes',
    submits: 'submits',
    bindGroups: 'bind groups made',
    buffers: 'buffers made',
    bufferWrites: 'buffer writes',
    maps: 'mappings',
  };
  for (const [name, count] of Object.entries(callsPerToken ?? {})) {
    rows.push([`${names[name] ?? name} a token`, figure(count), '', '']);
  }
  const stated = decode[0]?.statedBytes;
  if (stated !== undefined) rows.push(['bytes that the kernels of a token state', bytes(stated), '', '']);
  return rows;
}

function profileTable({ step, kernels }: ProfiledStepTable): ReportTable {
  const total = kernels.reduce((sum, { ms }) => sum + ms, 0);
  return {
    title: `Kernels of one step: ${step}`,
    head: ['kernel', 'dispatches', 'ms', 'share', 'GB/s'],
    rows: [
      ...kernels.map(({ label, dispatches, ms, bytes }) => [
        label,
        String(dispatches),
        ms.toFixed(3),
        percent(ms / total),
        figure(bytes / 1e6 / ms),
      ]),
      ['sum', String(kernels.reduce((sum, { dispatches }) => sum + dispatches, 0)), total.toFixed(3), '', ''],
    ],
  };
}

function spread(ms: Spread): [median: string, between: string, runs: string] {
  return [figure(ms.median), between(ms, figure), String(ms.runs)];
}

/** Of a single run there is no spread. */
function between({ min, max, runs }: Spread, show: (ms: number) => string): string {
  return runs > 1 ? `${show(min)} … ${show(max)}` : '';
}

/** Three significant digits, without an exponent. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value) || 1)));
  return Number(value.toPrecision(3))
    .toFixed(Math.min(digits, 4))
    .replace(/(\.\d*?)0+$/, '$1')
    .replace(/\.$/, '');
}

function percent(fraction: number | undefined): string {
  return fraction === undefined ? '' : `${figure(100 * fraction)}%`;
}

function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const unit = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(count) / 10));
  return `${figure(count / 1024 ** unit)} ${units[unit]}`;
}
