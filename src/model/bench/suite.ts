/**
 * The benchmark suite: what a machine can do, and what a model does on it. Knows neither terminal nor page; both show the report that
 * grows with every measurement (docs/benchmarks.md).
 */
import { InvalidOptionError, OutOfMemoryError, throwIfAborted, UnsupportedModelError } from '../../errors';
import type { Gguf } from '../../formats/gguf/gguf';
import { GpuDevice } from '../../gpu/device';
import { type MachineSpeed, measureMachine } from '../../gpu/micro_bench';
import type { TuningChoice } from '../autotune/autotune';
import { describeModel } from '../describe_model';
import { type LoadModelOptions, layOut, plansOf } from '../layout';
import { type LoadedModel, loadModel } from '../load_model';
import { isSynthetic, type ModelOrigin, readHeader } from '../origin';
import { seededRandom } from '../random';
import { selfTest } from '../selftest';
import { describeChoices } from './choices';
import { FEWEST_TOKENS, measureFirstToken } from './generation';
import { measureLoad } from './load_speed';
import { measureModel, type Recorder } from './measure_model';
import { profileSteps } from './profile_steps';
import { repeat } from './repeat';
import type { BenchmarkReport, BenchmarkSettings, Environment, LeftOut, SelfTestSummary } from './report';
import { positionsNeeded } from './steps';

export const DEFAULT_SETTINGS: BenchmarkSettings = {
  prefill: [128, 512, 2048],
  depths: [0, 4096, 16_384],
  rows: [1, 2, 4, 8, 16],
  tokens: 64,
  repetitions: 5,
  maxSeconds: 10,
};

/** A look that takes a fraction of the time: one prompt length, no depth. */
export const QUICK_SETTINGS: BenchmarkSettings = {
  prefill: [128],
  depths: [0],
  rows: [1, 8],
  tokens: 16,
  repetitions: 2,
  maxSeconds: 4,
};

export interface BenchmarkProgress {
  /** What is being measured. */
  readonly doing: string;
  /** Of the measurements that were asked for, 0 … 1. */
  readonly fraction: number;
  /** Everything that has been measured so far. */
  readonly report: BenchmarkReport;
}

export interface SuiteOptions {
  readonly settings: BenchmarkSettings;
  readonly load: LoadModelOptions;
  /** What to call the browser or runtime in the report. */
  readonly runtime: string;
  /** Every kernel that the model's weights need against the reference first: without it no figure counts. */
  readonly selfTest?: boolean;
  /** Time the kernels of a step one by one, on a device of their own. */
  readonly profile?: boolean;
  /** Yardsticks of this adapter that have been measured already. */
  readonly machine?: MachineSpeed;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: BenchmarkProgress) => void;
}

/** Rows of a prefill step; a shorter prompt needs no kernels for larger ones. */
const SMALL_CHUNK = 16;
const FIRST_TOKEN_PROMPT = 16;
/** Self-test, machine, load, loading, first token, generation. */
const OTHER_MEASUREMENTS = 6;

/** Throws InvalidOptionError for settings that mean nothing. */
function checkSettings(settings: BenchmarkSettings): void {
  const check = (field: keyof BenchmarkSettings, value: number, least: number): void => {
    if (!Number.isSafeInteger(value) || value < least) {
      throw new InvalidOptionError(field, `${value} is not an integer of at least ${least}`);
    }
  };
  for (const tokens of settings.prefill) check('prefill', tokens, 1);
  for (const depth of settings.depths) check('depths', depth, 0);
  for (const rows of settings.rows) {
    check('rows', rows, 1);
    if (rows > SMALL_CHUNK) throw new InvalidOptionError('rows', `${rows} is more than ${SMALL_CHUNK} sampled rows`);
  }
  check('repetitions', settings.repetitions, 1);
  if (settings.tokens !== 0) check('tokens', settings.tokens, FEWEST_TOKENS);
  if (!(settings.maxSeconds > 0)) {
    throw new InvalidOptionError('maxSeconds', `${settings.maxSeconds} is not a positive number`);
  }
}

/** Measures one model. Rejects like `loadModel`; what merely does not fit is in the report's `leftOut` with its reason. */
export async function runSuite(origin: ModelOrigin, options: SuiteOptions): Promise<BenchmarkReport> {
  checkSettings(options.settings);
  const { settings, signal } = options;
  const onGpu = options.load.backend === 'webgpu';
  const gguf = await readHeader(origin, { signal });
  const run = new SuiteRun(options, gguf);
  if (options.selfTest) {
    if (onGpu) await run.testKernels(gguf);
    else run.leaveOut('self-test', 'the reference executor has no kernels');
    if (run.report.selfTest && run.report.selfTest.failures.length > 0) {
      run.leaveOut('all figures', 'a kernel that this model needs gives wrong results on this GPU');
      return run.report;
    }
  }
  if (onGpu) await run.measureMachine();
  else run.leaveOut('machine, load', 'the reference executor has no GPU');
  if (onGpu) await run.measureLoad(gguf, origin);

  const model = await run.load(origin);
  try {
    await measureModel(model, run, settings, signal);
  } finally {
    model.dispose();
  }
  if (options.profile) await run.profile(origin);
  return run.report;
}

class SuiteRun implements Recorder {
  report: BenchmarkReport;
  #doing = '';
  #begun = 0;
  readonly #options: SuiteOptions;
  #load: LoadModelOptions;
  #tuned: readonly TuningChoice[] = [];

  constructor(options: SuiteOptions, gguf: Gguf) {
    this.#options = options;
    const { settings } = options;
    // One sequence: a pool for more would only take memory.
    this.#load = { maxSlots: 1, ...options.load, signal: options.signal, maxRows: maxRowsOf(settings, options.load) };
    const described = describeModel(gguf, { ...this.#load, activationType: 'f32' });
    const needs = contextNeeds(settings, described.trainedContextLength, options.load.contextLength);
    this.#load = { ...this.#load, contextLength: needs.contextLength };
    const { name, architecture, parameters, trainedContextLength, memory } = described;
    this.report = {
      date: new Date().toISOString(),
      environment: { backend: options.load.backend, runtime: options.runtime, features: [] },
      model: {
        name,
        architecture,
        parameters,
        trainedContextLength,
        contextLength: needs.contextLength,
        kvType: described.kvType,
        activationType: options.load.activationType ?? 'f32',
        weightBytes: memory.weights,
      },
      settings,
      machine: options.machine,
      prefill: [],
      decode: [],
      rows: [],
      choices: [],
      leftOut: needs.leftOut,
    };
  }

  doing(what: string): void {
    throwIfAborted(this.#options.signal);
    this.#doing = what;
    this.#begun++;
    this.#tell();
  }

  add(part: Partial<BenchmarkReport>): void {
    this.report = { ...this.report, ...part };
    this.#tell();
  }

  #tell(): void {
    const { onProgress, settings, profile } = this.#options;
    const { prefill, depths, rows } = settings;
    const measurements = OTHER_MEASUREMENTS + prefill.length + depths.length + rows.length + (profile ? 1 : 0);
    onProgress?.({
      doing: this.#doing,
      fraction: Math.min(1, Math.max(0, this.#begun - 1) / measurements),
      report: this.report,
    });
  }

  leaveOut(what: string, reason: string): void {
    this.add({ leftOut: [...this.report.leftOut, { what, reason }] });
  }

  async testKernels(gguf: Gguf): Promise<void> {
    this.doing('self-test');
    const { gpu, without = [], defaultLimits } = this.#load;
    const layout = layOut(gguf, { ...this.#load, backend: 'reference', activationType: 'f32' }, undefined);
    const calls = plansOf(layout).flatMap((plan) => plan.calls);
    // The type that a GPU gets when nobody asks for another.
    const neededBy = { calls, kvType: this.#load.kvType ?? 'f16' };
    const variants = [{ name: 'this device', without, defaultLimits }];
    let summary: SelfTestSummary = { passed: 0, failures: [] };
    const { signal } = this.#options;
    for await (const row of selfTest({ gpu, seed: 1, variants, quick: true, neededBy, signal })) {
      if (row.verdict === 'pass') summary = { ...summary, passed: summary.passed + 1 };
      else {
        const reason = row.failure ?? `error ${row.error.toExponential(1)} of ${row.budget.toExponential(1)}`;
        summary = { ...summary, failures: [...summary.failures, { op: row.op, label: row.label, reason }] };
      }
      this.#doing = `self-test: ${summary.passed} passed`;
      this.add({ selfTest: summary });
    }
  }

  async measureMachine(): Promise<void> {
    if (this.report.machine) return;
    this.doing('machine: bandwidth and peak');
    const { gpu, without, defaultLimits } = this.#load;
    const device = await GpuDevice.create({ gpu, without, defaultLimits });
    try {
      this.add({ machine: await measureMachine(device) });
    } finally {
      device.dispose();
    }
  }

  async measureLoad(gguf: Gguf, origin: ModelOrigin): Promise<void> {
    if (isSynthetic(origin)) {
      this.leaveOut('load', 'weights that are made on the GPU come from no source');
      return;
    }
    this.doing('load');
    const { settings, signal } = this.#options;
    // Without a KV cache; a few rounds of so few bytes say enough.
    const options = { ...settings, repetitions: Math.min(3, settings.repetitions), signal };
    this.add({ load: await measureLoad(gguf, origin, { ...this.#load, contextLength: 1 }, options) });
  }

  /** Loads the model with room for the deepest decode that fits, and takes the time to the first token on the way. */
  async load(origin: ModelOrigin): Promise<LoadedModel> {
    this.doing('loading the model');
    for (;;) {
      const start = performance.now();
      try {
        const model = await loadModel(origin, this.#load);
        if (model.runner.limits.embeddingSize !== undefined) {
          model.dispose();
          const { name } = model.description;
          throw new UnsupportedModelError(`"${name}" turns texts into vectors: there are no tokens to measure`);
        }
        this.#tuned = model.tuning;
        this.add({ choices: describeChoices(model.tuning) });
        this.#noteDefaults(model);
        await this.#measureFirstToken(model, start);
        return model;
      } catch (error) {
        const { contextLength = 1 } = this.#load;
        const { settings, load } = this.#options;
        const less = contextNeeds(settings, contextLength - 1, undefined).contextLength;
        const canDoWithLess = load.contextLength === undefined && less < contextLength;
        if (!(error instanceof OutOfMemoryError) || !canDoWithLess) throw error;
        this.leaveOut(`a context of ${contextLength}`, error.message);
        this.#load = { ...this.#load, contextLength: less };
        this.add({ model: { ...this.report.model, contextLength: less } });
      }
    }
  }

  /** Says why there are no choices to show. */
  #noteDefaults({ capabilities, tuning }: LoadedModel): void {
    if (!capabilities || tuning.length > 0) return;
    const { mode } = this.#load.tune ?? {};
    const reason = mode === 'never' ? 'it was switched off' : 'this adapter is a CPU; --tune measures there too';
    this.leaveOut('tuning: every kernel runs with its default', reason);
  }

  async #measureFirstToken(model: LoadedModel, start: number): Promise<void> {
    const { settings, signal } = this.#options;
    const { contextLength, vocabSize } = model.description;
    const promptTokens = Math.min(FIRST_TOKEN_PROMPT, contextLength - 1);
    const random = seededRandom(1);
    // Another prompt each time: nothing of it may be cached.
    const prompt = (): number[] => Array.from({ length: promptTokens }, () => Math.floor(random() * vocabSize));
    await measureFirstToken(model.runner, prompt());
    const coldMs = performance.now() - start;
    this.add({ environment: environmentOf(model, this.report.environment) });
    this.doing('first token');
    const warmMs = await repeat(() => measureFirstToken(model.runner, prompt()), { ...settings, signal });
    this.add({ firstToken: { promptTokens, coldMs, warmMs } });
  }

  async profile(origin: ModelOrigin): Promise<void> {
    this.doing('profile');
    const { settings } = this.#options;
    const { contextLength } = this.report.model;
    const { profile, leftOut } = await profileSteps(origin, this.#load, settings, contextLength, this.#tuned);
    this.add({ profile });
    for (const { what, reason } of leftOut) this.leaveOut(what, reason);
  }
}

function maxRowsOf({ prefill }: BenchmarkSettings, { maxRows }: LoadModelOptions): number | undefined {
  return maxRows ?? (Math.max(1, ...prefill) <= SMALL_CHUNK ? SMALL_CHUNK : undefined);
}

/** The context that the measurements need, up to a limit or as asked for; and which of them that leaves out. */
function contextNeeds(
  { prefill, depths, rows, tokens }: BenchmarkSettings,
  limit: number,
  asked: number | undefined,
): { readonly contextLength: number; readonly leftOut: readonly LeftOut[] } {
  const needs = [
    { what: 'generation', positions: FIRST_TOKEN_PROMPT + tokens + 1 },
    ...prefill.map((length) => ({ what: `prefill of ${length}`, positions: length })),
    ...rows.map((count) => ({ what: `a step of ${count} rows`, positions: positionsNeeded(count, 0) })),
    ...depths.map((depth) => ({ what: `decode at depth ${depth}`, positions: positionsNeeded(1, depth) })),
  ];
  const most = asked ?? limit;
  const fitting = needs.filter(({ positions }) => positions <= most);
  const tooLong = needs.filter(({ positions }) => positions > most);
  const because = asked === undefined ? 'the model was trained for' : 'the context that was asked for holds';
  return {
    contextLength: asked ?? Math.min(limit, Math.max(1, ...fitting.map(({ positions }) => positions))),
    leftOut: tooLong.map(({ what, positions }) => ({
      what,
      reason: `it needs ${positions} positions, ${because} ${most}`,
    })),
  };
}

function environmentOf({ capabilities }: LoadedModel, environment: Environment): Environment {
  if (!capabilities) return environment;
  const { f16, subgroups, dot4, subgroupMatrix, limits, adapter } = capabilities;
  const features = Object.entries({ 'shader-f16': f16, subgroups, dot4, 'subgroup-matrix': subgroupMatrix });
  return { ...environment, adapter, limits, features: features.flatMap(([name, has]) => (has ? [name] : [])) };
}
