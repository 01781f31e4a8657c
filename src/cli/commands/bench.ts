import { InvalidOptionError, WebGpuUnavailableError } from '../../errors';
import type { AdapterDescription } from '../../gpu/capabilities';
import { GpuDevice } from '../../gpu/device';
import { type MachineSpeed, measureMachine } from '../../gpu/micro_bench';
import type { LoadedModel } from '../../model/load_model';
import { type ProfiledKernel, profileModel } from '../../model/profile_model';
import { seededRandom } from '../../model/random';
import { type StepCost, stepCost } from '../../model/step_cost';
import { WebGpuRunner } from '../../model/webgpu_runner';
import { Arguments } from '../arguments';
import { createNodeGpu } from '../dawn';
import {
  type CallsPerToken,
  countGeneration,
  type GenerationSpeed,
  MARGIN,
  measureGeneration,
} from '../measure_generation';
import { loadOptions, openModel, openSource } from '../open_model';
import { formatBytes, notice, printJson, printLine, table } from '../output';

/** Rows of a prefill step; a shorter prompt needs no kernels for larger ones. */
const MAX_CHUNK = 256;
const SMALL_CHUNK = 16;
const COUNTED_TOKENS = 2 * MARGIN + 4;

/** A rate over repetitions: milliseconds and tokens/s of the median run, tokens/s of the slowest and the fastest. */
interface Rate {
  readonly tokens: number;
  readonly ms: number;
  readonly tokensPerSecond: number;
  readonly spread: { readonly min: number; readonly max: number };
}

/** How a step relates to what the machine can do; absent on the reference executor. */
interface Efficiency {
  readonly bytesPerToken: number;
  readonly weightBytesPerToken: number;
  readonly kvBytesPerToken: number;
  readonly fractionOfBandwidth: number;
  readonly fractionOfPeak: number;
}

interface BenchResult {
  readonly model: string;
  readonly adapter: AdapterDescription | { readonly description: string };
  readonly repetitions: number;
  readonly machine?: MachineSpeed;
  /** Bytes of GPU buffers with the model loaded. */
  readonly gpuBytes?: number;
  readonly prefill: Rate & Partial<Pick<Efficiency, 'fractionOfPeak'>>;
  readonly decode: Rate &
    Partial<Omit<Efficiency, 'fractionOfPeak'>> & {
      readonly perToken: Partial<CallsPerToken> & { readonly jsMs: number };
    };
  readonly profile?: { readonly prefill: readonly ProfiledKernel[]; readonly decode: readonly ProfiledKernel[] };
}

/** Prefill and decode speed of a model next to what the machine can do, and WebGPU calls per decoded token (docs/benchmarks.md). */
export async function benchCommand(argv: readonly string[]): Promise<void> {
  const args = Arguments.parse(argv, {
    prefill: { type: 'string' },
    decode: { type: 'string' },
    repeat: { type: 'string' },
    profile: { type: 'boolean' },
  });
  args.model();
  const prefillTokens = args.integer('prefill', 1) ?? 512;
  const decodeTokens = args.integer('decode', COUNTED_TOKENS) ?? 128;
  const repetitions = args.integer('repeat', 1) ?? 3;
  const wantsProfile = args.flag('profile');
  const onGpu = args.backend === 'webgpu';
  if (wantsProfile && !onGpu) throw new InvalidOptionError('--profile', 'the reference executor has no kernels');
  const maxRows = prefillTokens <= SMALL_CHUNK ? SMALL_CHUNK : MAX_CHUNK;
  const gpu = onGpu ? await createNodeGpu() : undefined;

  const machine = gpu ? await measureOn(gpu, args) : undefined;
  const model = await openModel(args, { gpu, maxRows });
  let result: BenchResult;
  try {
    result = await benchModel(model, machine, { prefillTokens, decodeTokens, repetitions });
  } finally {
    model.dispose();
  }
  if (wantsProfile && gpu) {
    const steps = [
      { rows: Math.min(prefillTokens, maxRows), length: prefillTokens },
      { rows: 1, length: prefillTokens + decodeTokens / 2 },
    ].map(({ rows, length }) => ({ rows, length: Math.floor(length) }));
    try {
      const options = loadOptions(args, { gpu, maxRows });
      const [prefill, decode] = await profileModel(await openSource(args.model()), options, steps);
      result = { ...result, profile: { prefill, decode } };
    } catch (error) {
      if (!(error instanceof WebGpuUnavailableError)) throw error;
      notice(`no profile: ${error.message}`);
    }
  }
  if (args.json) printJson(result);
  else print(result);
}

async function measureOn(gpu: GPU, args: Arguments): Promise<MachineSpeed> {
  const device = await GpuDevice.create({ gpu, without: args.without, defaultLimits: args.flag('default-limits') });
  try {
    return await measureMachine(device);
  } finally {
    device.dispose();
  }
}

interface BenchSettings {
  readonly prefillTokens: number;
  readonly decodeTokens: number;
  readonly repetitions: number;
}

async function benchModel(
  model: LoadedModel,
  machine: MachineSpeed | undefined,
  { prefillTokens, decodeTokens, repetitions }: BenchSettings,
): Promise<BenchResult> {
  const { runner, device, description, adapter } = model;
  if (prefillTokens + decodeTokens >= description.contextLength) {
    throw new InvalidOptionError(
      '--prefill',
      `${prefillTokens} + ${decodeTokens} tokens do not fit the context of ${description.contextLength}`,
    );
  }
  const random = seededRandom(1);
  const prompt = Array.from({ length: prefillTokens }, () => Math.floor(random() * description.vocabSize));
  // This run warms up too: drivers finish compiling at the first use.
  const calls = device ? await countGeneration(runner, device.device, prompt, COUNTED_TOKENS) : undefined;
  const runs: GenerationSpeed[] = [];
  for (let i = 0; i < repetitions; i++) runs.push(await measureGeneration(runner, prompt, decodeTokens));

  const prefill = rate(prefillTokens, runs, (run) => run.prefillMs);
  const decode = rate(decodeTokens, runs, (run) => run.decodeMs);
  const efficiency =
    machine && runner instanceof WebGpuRunner
      ? efficiencyOf(runner, machine, description.kvType, { prefillTokens, decodeTokens }, { prefill, decode })
      : undefined;
  const jsMs = median(runs.map((run) => run.jsMs));
  const { fractionOfPeak, ...decodeEfficiency } = efficiency ?? {};
  return {
    model: description.name,
    adapter: adapter ?? { description: 'reference executor' },
    repetitions,
    machine,
    gpuBytes: device?.allocatedBytes,
    prefill: { ...prefill, fractionOfPeak },
    decode: { ...decode, ...decodeEfficiency, perToken: { ...calls, jsMs } },
  };
}

/** What the decode step in the middle of the run and the steps of the prompt cost at the least, over the time that they took. */
function efficiencyOf(
  runner: WebGpuRunner,
  machine: MachineSpeed,
  kvType: 'f32' | 'f16',
  { prefillTokens, decodeTokens }: Pick<BenchSettings, 'prefillTokens' | 'decodeTokens'>,
  { prefill, decode }: { readonly prefill: Rate; readonly decode: Rate },
): Efficiency {
  const length = prefillTokens + Math.floor(decodeTokens / 2);
  const decodePlan = runner.planFor(1);
  const cost = stepCost(decodePlan.calls, { rows: 1, length, sampledRows: 1 }, kvType);
  const shape = { rows: 1, segments: 1, sampledRows: 1, tiles: 1, maxLength: length, greedy: true };
  const bytesPerToken = decodePlan.describe(shape).reduce((sum, { bytes }) => sum + bytes, 0);
  const flops = prefillCosts(runner, prefillTokens, kvType).reduce((sum, step) => sum + step.flops, 0);
  return {
    bytesPerToken,
    weightBytesPerToken: cost.weightBytes,
    kvBytesPerToken: cost.kvBytes,
    fractionOfBandwidth: ((cost.weightBytes + cost.kvBytes) * decode.tokensPerSecond) / (machine.streamReadGBs * 1e9),
    fractionOfPeak: flops / (prefill.ms / 1000) / (machine.fmaGFLOPs.f32 * 1e9),
  };
}

function prefillCosts(runner: WebGpuRunner, tokens: number, kvType: 'f32' | 'f16'): StepCost[] {
  const costs: StepCost[] = [];
  for (let position = 0; position < tokens; ) {
    const rows = Math.min(runner.limits.maxRows, tokens - position);
    position += rows;
    const sampledRows = position === tokens ? 1 : 0;
    costs.push(stepCost(runner.planFor(rows).calls, { rows, length: position, sampledRows }, kvType));
  }
  return costs;
}

function rate(tokens: number, runs: readonly GenerationSpeed[], time: (run: GenerationSpeed) => number): Rate {
  const times = runs.map(time);
  const perSecond = (ms: number): number => (ms > 0 ? (tokens / ms) * 1000 : 0);
  const ms = median(times);
  return {
    tokens,
    ms,
    tokensPerSecond: perSecond(ms),
    spread: { min: perSecond(Math.max(...times)), max: perSecond(Math.min(...times)) },
  };
}

/** Of an even number of values the mean of the middle two. */
function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
}

function print({ machine, gpuBytes, prefill, decode, profile }: BenchResult): void {
  if (machine) {
    const { f32, f16 } = machine.fmaGFLOPs;
    printLine(
      `machine: reads ${machine.streamReadGBs.toFixed(1)} GB/s, computes ${f32.toFixed(1)} GFLOP/s in f32${f16 === undefined ? '' : `, ${f16.toFixed(1)} in f16`}`,
    );
  }
  if (gpuBytes !== undefined) printLine(`GPU memory: ${formatBytes(gpuBytes)}`);
  const percent = (fraction: number | undefined, of: string): string =>
    fraction === undefined ? '' : `${(100 * fraction).toFixed(1)}% of ${of}`;
  const row = (name: string, { tokens, ms, tokensPerSecond, spread }: Rate, of: string): (string | number)[] => [
    name,
    tokens,
    ms.toFixed(1),
    tokensPerSecond.toFixed(1),
    `${spread.min.toFixed(1)} … ${spread.max.toFixed(1)}`,
    of,
  ];
  printLine(
    table([
      ['', 'tokens', 'ms', 'tokens/s', 'slowest … fastest', ''],
      row('prefill', prefill, percent(prefill.fractionOfPeak, 'the f32 peak')),
      row('decode', decode, percent(decode.fractionOfBandwidth, 'the bandwidth')),
    ]),
  );
  printLine('\nper decoded token');
  printLine(table(Object.entries(decode.perToken).map(([name, value]) => [`  ${name}`, value.toFixed(3)])));
  if (decode.bytesPerToken !== undefined) printLine(`  bytes         ${formatBytes(decode.bytesPerToken)}`);
  if (!profile) return;
  for (const step of ['prefill', 'decode'] as const) {
    printLine(`\nkernels of one ${step} step`);
    printLine(profileTable(profile[step]));
  }
}

function profileTable(kernels: readonly ProfiledKernel[]): string {
  const total = kernels.reduce((sum, { ms }) => sum + ms, 0);
  return table([
    ['  kernel', 'dispatches', 'ms', 'share', 'GB/s'],
    ...kernels.map(({ label, dispatches, ms, bytes }) => [
      `  ${label}`,
      dispatches,
      ms.toFixed(3),
      `${((100 * ms) / total).toFixed(1)}%`,
      (bytes / 1e6 / ms).toFixed(1),
    ]),
    ['  sum', kernels.reduce((sum, { dispatches }) => sum + dispatches, 0), total.toFixed(3)],
  ]);
}
