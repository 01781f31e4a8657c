import type { Runner } from '../../engine/runner';
import type { MachineSpeed } from '../../gpu/micro_bench';
import type { LoadedModel } from '../load_model';
import { seededRandom } from '../random';
import { type StepCost, stepCost } from '../step_cost';
import { WebGpuRunner } from '../webgpu_runner';
import { countGeneration, type GenerationSpeed, measureGeneration } from './generation';
import { repeat } from './repeat';
import type { BenchmarkReport, BenchmarkSettings, StepPoint } from './report';
import { median, type Spread, shareOf } from './statistics';
import { positionsNeeded, StepMeter } from './steps';

/** Where measurements go as they are made. */
export interface Recorder {
  readonly report: BenchmarkReport;
  /** Says what comes next. Throws AbortedError when the run was cancelled. */
  doing(what: string): void;
  add(part: Partial<BenchmarkReport>): void;
  leaveOut(what: string, reason: string): void;
}

interface Context {
  readonly model: LoadedModel;
  readonly recorder: Recorder;
  readonly settings: BenchmarkSettings;
  readonly meter: StepMeter;
  readonly signal?: AbortSignal;
}

const GENERATION_PROMPT = 16;
/** Several submits, each of which may hold several tokens. */
const COUNTED_TOKENS = 32;
/** A step that took this long is not taken again to see how long it takes. */
const PATIENCE_MS = 60_000;

/** Steps, prompts and whole generations of a loaded model. Rejects with what its runner rejects with, or AbortedError. */
export async function measureModel(
  model: LoadedModel,
  recorder: Recorder,
  settings: BenchmarkSettings,
  signal?: AbortSignal,
): Promise<void> {
  const context = { model, recorder, settings, signal, meter: new StepMeter(model.runner, signal) };
  recorder.add({ gpuBytes: model.device?.allocatedBytes });
  await measureDepths(context);
  await measureRows(context);
  await measurePrefill(context);
  await measureEngine(context);
  recorder.add({ gpuBytes: model.device?.allocatedBytes });
}

async function measureDepths(context: Context): Promise<void> {
  const { recorder, settings } = context;
  let shallow: number | undefined;
  for (const depth of [...settings.depths].sort((a, b) => a - b)) {
    const point = await measureStep(context, `decode at depth ${depth}`, 1, depth);
    if (!point) continue;
    if (depth === 0) shallow = point.ms.median;
    const cost = shallow === undefined ? undefined : point.ms.median / shallow;
    recorder.add({ decode: [...recorder.report.decode, { ...point, cost }] });
  }
}

async function measureRows(context: Context): Promise<void> {
  const { recorder, settings } = context;
  let one: number | undefined;
  for (const rows of settings.rows) {
    const point = await measureStep(context, `a step of ${rows} rows`, rows, 0);
    if (!point) continue;
    if (rows === 1) one = point.ms.median;
    // Without a row of its own the curve begins at the decode step.
    one ??= recorder.report.decode.find(({ depth }) => depth === 0)?.ms.median;
    if (one === undefined) recorder.leaveOut(`cost of ${rows} rows`, 'the time of one row was not measured');
    else recorder.add({ rows: [...recorder.report.rows, { ...point, cost: point.ms.median / one }] });
  }
}

/** Undefined, and said so, where the context has no room. */
async function measureStep(
  { model, recorder, settings, meter, signal }: Context,
  what: string,
  rows: number,
  depth: number,
): Promise<StepPoint | undefined> {
  const { contextLength, maxRows, maxSampledRows } = model.runner.limits;
  // What does not fit the context has been left out, and said so, when that was chosen.
  if (positionsNeeded(rows, depth) > contextLength || rows > Math.min(maxRows, maxSampledRows)) return undefined;
  recorder.doing(what);
  // Drivers compile at the first use; the second step says how many make a run.
  const first = await meter.steps(rows, depth, 1);
  const second = first > PATIENCE_MS ? first : await meter.steps(rows, depth, 1);
  const steps = StepMeter.stepsPerRun(second, Math.floor((contextLength - depth) / rows));
  const ms = await repeat(() => meter.steps(rows, depth, steps), { ...settings, signal });
  noteRepetitions(recorder, what, ms, settings);
  const length = depth + rows;
  const least = leastCost(model.runner, rows, length, rows, model.description.kvType);
  return {
    rows,
    depth,
    ms,
    tokensPerSecond: (rows / ms.median) * 1000,
    ...(least && { least, statedBytes: statedBytes(model.runner, rows, length) }),
    fractionOfBandwidth:
      least && shareOf((least.weightBytes + least.kvBytes) / 1e9, ms.median, recorder.report.machine?.streamReadGBs),
  };
}

async function measurePrefill({ model, recorder, settings, meter, signal }: Context): Promise<void> {
  const { contextLength, vocabSize } = model.runner.limits;
  const random = seededRandom(2);
  let msPerToken: number | undefined;
  for (const tokens of [...settings.prefill].sort((a, b) => a - b)) {
    if (tokens > contextLength) continue;
    const what = `prefill of ${tokens}`;
    const least = prefillCost(model, tokens);
    const peak = peakOf(model.runner, recorder.report.machine);
    // At the machine's peak, or at the speed of the shorter prompt.
    const expected = Math.max((msPerToken ?? 0) * tokens, least && peak ? least.flops / (peak * 1e6) : 0) / 1000;
    if (expected > settings.maxSeconds) {
      const reason = `it would take at least ${expected.toFixed(0)} s, the limit is ${settings.maxSeconds} s`;
      recorder.leaveOut(what, reason);
      continue;
    }
    recorder.doing(what);
    const prompt = Array.from({ length: tokens }, () => Math.floor(random() * vocabSize));
    const ms = await repeat(() => meter.prefill(prompt), { ...settings, signal });
    noteRepetitions(recorder, what, ms, settings);
    msPerToken = ms.median / tokens;
    const point = {
      tokens,
      ms,
      tokensPerSecond: (tokens / ms.median) * 1000,
      least,
      fractionOfPeak: least && shareOf(least.flops / 1e9, ms.median, peak),
    };
    recorder.add({ prefill: [...recorder.report.prefill, point] });
  }
}

async function measureEngine({ model, recorder, settings, signal }: Context): Promise<void> {
  const { runner, device } = model;
  const { contextLength, vocabSize } = runner.limits;
  const { tokens } = settings;
  const room = contextLength - GENERATION_PROMPT - 1;
  if (tokens === 0 || room < tokens) return;
  recorder.doing('generation');
  const random = seededRandom(3);
  const prompt = (): number[] => Array.from({ length: GENERATION_PROMPT }, () => Math.floor(random() * vocabSize));
  const callsPerToken = device
    ? await countGeneration(runner, device.device, prompt(), Math.min(Math.max(tokens, COUNTED_TOKENS), room))
    : undefined;
  const runs: GenerationSpeed[] = [];
  const measure = async (): Promise<number> => {
    const run = await measureGeneration(runner, prompt(), tokens);
    runs.push(run);
    return run.decodeMs;
  };
  const ms = await repeat(measure, { ...settings, signal });
  noteRepetitions(recorder, 'generation', ms, settings);
  const generation = {
    promptTokens: GENERATION_PROMPT,
    tokens,
    ms,
    tokensPerSecond: (tokens / ms.median) * 1000,
    callsPerToken,
    jsMsPerToken: median(runs.slice(-ms.runs).map((run) => run.jsMs)),
  };
  recorder.add({ generation });
}

function noteRepetitions(recorder: Recorder, what: string, { runs }: Spread, settings: BenchmarkSettings): void {
  const { repetitions, maxSeconds } = settings;
  if (runs >= repetitions) return;
  const reason = `all of them would take longer than the limit of ${maxSeconds} s`;
  recorder.leaveOut(`${what}: ${repetitions - runs} of ${repetitions} repetitions`, reason);
}

/** Undefined on the reference executor, whose plan is no measure of anything. */
function leastCost(
  runner: Runner,
  rows: number,
  length: number,
  sampledRows: number,
  kvType: LoadedModel['description']['kvType'],
): StepCost | undefined {
  if (!(runner instanceof WebGpuRunner)) return undefined;
  return stepCost(runner.planFor(rows).calls, { rows, length, sampledRows }, kvType);
}

/** What the kernels of a step say they read and write. */
function statedBytes(runner: Runner, rows: number, maxLength: number): number | undefined {
  if (!(runner instanceof WebGpuRunner)) return undefined;
  const shape = { rows, segments: 1, sampledRows: rows, tiles: 1, maxLength, greedy: true };
  return runner
    .planFor(rows)
    .describe(shape)
    .reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Of all chunks of a prompt. */
function prefillCost({ runner, description }: LoadedModel, tokens: number): StepCost | undefined {
  const sum = { weightBytes: 0, kvBytes: 0, flops: 0 };
  for (let position = 0; position < tokens; ) {
    const rows = Math.min(runner.limits.maxRows, tokens - position);
    position += rows;
    const cost = leastCost(runner, rows, position, position === tokens ? 1 : 0, description.kvType);
    if (!cost) return undefined;
    sum.weightBytes += cost.weightBytes;
    sum.kvBytes += cost.kvBytes;
    sum.flops += cost.flops;
  }
  return sum;
}

/** GFLOP/s in the type that the matmuls of large steps compute in. */
function peakOf(runner: Runner, machine: MachineSpeed | undefined): number | undefined {
  if (!machine || !(runner instanceof WebGpuRunner)) return undefined;
  const { calls } = runner.planFor(runner.limits.maxRows);
  const inHalves = calls.some((call) => call.op === 'linear' && call.x.type === 'f16');
  return inHalves ? (machine.fmaGFLOPs.f16 ?? machine.fmaGFLOPs.f32) : machine.fmaGFLOPs.f32;
}
