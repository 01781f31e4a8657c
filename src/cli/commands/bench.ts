import { InvalidOptionError } from '../../errors';
import { GpuDevice } from '../../gpu/device';
import { measureMachine } from '../../gpu/micro_bench';
import { reportMarkdown, tablesMarkdown } from '../../model/bench/markdown';
import { measureKernels } from '../../model/bench/measure_kernels';
import type { BenchmarkSettings } from '../../model/bench/report';
import { DEFAULT_SETTINGS, QUICK_SETTINGS, runSuite } from '../../model/bench/suite';
import { kernelTables, machineTable } from '../../model/bench/tables';
import { Arguments } from '../arguments';
import { createNodeGpu } from '../dawn';
import { loadOptions } from '../open_model';
import { openSource } from '../open_source';
import { printJson, printLine, progressLine } from '../output';

/** The benchmark suite on one model, as Markdown or JSON (docs/benchmarks.md). */
export async function benchCommand(argv: readonly string[]): Promise<void> {
  const args = Arguments.parse(argv, {
    quick: { type: 'boolean' },
    prefill: { type: 'string' },
    depth: { type: 'string' },
    rows: { type: 'string' },
    decode: { type: 'string' },
    repeat: { type: 'string' },
    'max-seconds': { type: 'string' },
    selftest: { type: 'boolean' },
    machine: { type: 'boolean' },
    kernels: { type: 'boolean' },
    filter: { type: 'string' },
    profile: { type: 'boolean' },
  });
  if (args.flag('machine') || args.flag('kernels')) {
    await benchDevice(args);
    return;
  }
  if (args.text('filter') !== undefined) throw new InvalidOptionError('--filter', 'goes with --kernels');
  const model = args.model();
  const settings = settingsOf(args);
  const onGpu = args.backend === 'webgpu';
  if (args.flag('profile') && !onGpu)
    throw new InvalidOptionError('--profile', 'the reference executor has no kernels');
  const gpu = onGpu ? await createNodeGpu() : undefined;
  const { onProgress: _, ...load } = loadOptions(args, { gpu });
  const report = await runSuite(await openSource(model), {
    settings,
    load,
    runtime: `Node ${process.versions.node}${onGpu ? ', Dawn' : ''}`,
    selfTest: args.flag('selftest'),
    profile: args.flag('profile'),
    onProgress: ({ doing }) => progressLine(doing),
  });
  progressLine('');
  if (args.json) printJson(report);
  else printLine(reportMarkdown(report));
}

/** What needs no model: the yardsticks, and with --kernels single kernels beside them. */
async function benchDevice(args: Arguments): Promise<void> {
  const gpu = await createNodeGpu();
  const timestamps = args.flag('kernels');
  const defaultLimits = args.flag('default-limits');
  const device = await GpuDevice.create({ gpu, without: args.without, defaultLimits, timestamps });
  try {
    progressLine('machine');
    const machine = await measureMachine(device);
    const { adapter, software } = device.capabilities;
    const { repetitions, maxSeconds } = settingsOf(args);
    const options = { filter: args.text('filter'), repetitions, maxSeconds, onProgress: progressLine };
    const report = args.flag('kernels') ? await measureKernels(device, options) : undefined;
    progressLine('');
    if (args.json) printJson({ adapter, software, machine, ...report });
    else printLine(tablesMarkdown([machineTable(adapter, machine), ...(report ? kernelTables(report, machine) : [])]));
  } finally {
    device.dispose();
  }
}

function settingsOf(args: Arguments): BenchmarkSettings {
  const defaults = args.flag('quick') ? QUICK_SETTINGS : DEFAULT_SETTINGS;
  const maxSeconds = args.number('max-seconds') ?? defaults.maxSeconds;
  if (maxSeconds <= 0) throw new InvalidOptionError('--max-seconds', `${maxSeconds} is not a positive number`);
  return {
    prefill: args.integers('prefill', 1) ?? defaults.prefill,
    depths: args.integers('depth', 0) ?? defaults.depths,
    rows: args.integers('rows', 1) ?? defaults.rows,
    tokens: args.integer('decode', 12) ?? defaults.tokens,
    repetitions: args.integer('repeat', 1) ?? defaults.repetitions,
    maxSeconds,
  };
}
