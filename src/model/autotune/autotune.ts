import type { Capabilities } from '../../gpu/capabilities';
import { orderOf } from '../../ops/linear/tuning';
import type { GemvOrder, KernelTuning, LinearTuning, Tuning } from '../../ops/tuning';
import type { TextStore } from '../../storage/text_store';
import { type AttentionJob, attentionCandidates, attentionJobs, measureAttention } from './attention';
import { compiles, type TrialBench } from './bench';
import { type ExpertJob, expertCandidates, expertJobs, measureExperts } from './experts';
import { candidatesOf, differences, nameOf, type PlanOfBucket, singleRowKey, type TuningJob, tuningJobs } from './jobs';
import { nextKernel, type Unfinished } from './order';
import { formatRecords, type Measured, parseRecords, recordsName, type TuningRecords } from './records';
import { allocateTrials, Judge } from './trial';

/** A choice must be faster than the default by this much: less may be noise. */
const GUARD = 0.97;
/** Candidates that are compiled side by side. */
const COMPILED_AT_ONCE = 4;

export interface AutotuneOptions {
  /** Time for measuring, compilation included; what it leaves open is measured at a later load. Default 1000. */
  readonly budgetMs?: number;
  /** Where measurements of earlier loads are. */
  readonly store?: TextStore;
  /** Of this package: another version measures anew. */
  readonly version: string;
  readonly signal?: AbortSignal;
}

/** What was chosen for one kernel, for people to read. */
export interface TuningChoice {
  readonly key: string;
  readonly choice: Tuning;
  /** The default was kept: nothing is faster by more than noise. */
  readonly isDefault: boolean;
  /** Milliseconds of the choice and of the default over the model's layers, where they were measured. */
  readonly ms?: number;
  readonly defaultMs?: number;
  readonly measured: number;
  readonly candidates: number;
  /** Tunings that computed something else than the reference, by name: none of them is run if there is another. */
  readonly wrong: readonly string[];
  /** The choice is one of those: nothing that was tried is right. */
  readonly isWrong: boolean;
}

export interface Tuned {
  readonly tuning: KernelTuning;
  readonly choices: readonly TuningChoice[];
}

/** A kernel of which not everything is measured. */
interface OpenKernel extends Unfinished {
  readonly measure: () => Promise<void>;
}

/**
 * Chooses the kernels' variants for a model and a machine: each legal one is checked against the reference, then timed over the model's own
 * weights, until the time is up: a few variants of every kernel before more of any, the most promising kernels first, and of each the variants
 * nearest to the best one so far. Of a kernel that was wrong so far more are tried. What was measured is remembered: later loads go on from there.
 * Rejects when the device is lost or runs out of memory; a kernel that does not compile is one that is not chosen.
 */
export async function autotune(
  model: TrialBench,
  plans: readonly PlanOfBucket[],
  options: AutotuneOptions,
): Promise<Tuned> {
  const { store, budgetMs = 1000, signal } = options;
  const { capabilities, maxSampledRows, contextLength } = model.target;
  // All rows of a trial are of one sequence.
  const bench = { ...model, maxRows: Math.min(model.maxRows, contextLength) };
  const runtime = globalThis.navigator?.userAgent;
  const name = recordsName(capabilities.adapter, featuresOf(capabilities), options.version, runtime);
  const records = parseRecords(await store?.read(name));
  const matrices = tuningJobs(plans, { maxRows: bench.maxRows, maxSampledRows }, capabilities);
  const heads = attentionJobs(plans, bench);
  const experts = expertJobs(plans, bench);
  const start = performance.now();
  let changed = false;
  for (let spent = 0; ; spent = performance.now() - start) {
    const ofHeads = (kernel: AttentionJob['kernel']): (OpenKernel | undefined)[] =>
      heads
        .filter((job) => job.kernel === kernel)
        .map((job) => open(job.key, attentionCandidates(job), records, (group) => measureAttention(bench, job, group)));
    const ofExperts = (kernel: ExpertJob['kernel']): (OpenKernel | undefined)[] =>
      experts
        .filter((job) => job.kernel === kernel)
        .map((job) => {
          const candidates = expertCandidates(job, capabilities);
          return open(job.key, candidates, records, (group) => measureExperts(bench, job, group));
        });
    const ofMatrices = matrices.map((job) => {
      const candidates = candidatesOf(job, capabilities, orderFor(job, matrices, records, capabilities));
      return open(job.key, candidates, records, (group) => measureLinear(bench, job, group));
    });
    const kernels = [
      ...ofHeads('decode'),
      ...ofExperts('few rows'),
      ...ofMatrices,
      ...ofExperts('many rows'),
      ...ofHeads('prefill'),
    ].filter((kernel) => kernel !== undefined);
    const next = nextKernel(kernels, spent, budgetMs);
    if (!next) break;
    signal?.throwIfAborted();
    changed = true;
    await next.measure();
  }
  if (changed) await store?.write(name, formatRecords(records));
  return conclude({ matrices, heads, experts }, records, capabilities);
}

/** Undefined when everything is known. */
function open<T extends Tuning>(
  key: string,
  candidates: readonly T[],
  records: TuningRecords,
  run: (group: readonly T[]) => Promise<readonly (number | 'wrong')[]>,
): OpenKernel | undefined {
  const measured = measuredOf(records, key);
  const group = nextGroup(candidates, measured);
  if (group.length === 0) return undefined;
  const measure = async (): Promise<void> => {
    const times = await run(group);
    group.forEach((candidate, i) => measured.set(nameOf(candidate), times[i]));
  };
  return { round: roundOf(candidates, measured), isWrong: runsWrong(measured, candidates), measure };
}

function roundOf(candidates: readonly Tuning[], measured: Measured): number {
  return Math.floor(candidates.filter((candidate) => measured.has(nameOf(candidate))).length / COMPILED_AT_ONCE);
}

/** What to measure next: what is nearest to the best so far, at first the default and its neighbours. */
function nextGroup<T extends Tuning>(candidates: readonly T[], measured: Measured): T[] {
  const { choice } = best(measured, candidates);
  return candidates
    .filter((candidate) => !measured.has(nameOf(candidate)))
    .sort((a, b) => differences(choice, a) - differences(choice, b))
    .slice(0, COMPILED_AT_ONCE);
}

function featuresOf({ f16, subgroups, dot4, subgroupMatrix, limits }: Capabilities): string[] {
  const flags = { f16, subgroups, dot4, subgroupMatrix };
  return [
    ...Object.entries(flags).flatMap(([feature, has]) => (has ? [feature] : [])),
    String(limits.maxComputeInvocationsPerWorkgroup),
  ];
}

function measuredOf(records: TuningRecords, key: string): Measured {
  const known = records.get(key) ?? new Map<string, number | 'wrong'>();
  records.set(key, known);
  return known;
}

/** The order of sums of the job's single-row kernel, as far as it is known now. Undefined: the default's. */
function orderFor(
  job: TuningJob,
  jobs: readonly TuningJob[],
  records: TuningRecords,
  capabilities: Capabilities,
): GemvOrder | undefined {
  const single = singleRowKey(job);
  if (single === undefined || job.rowTile === 1) return undefined;
  const first = jobs.find(({ key }) => key === single);
  if (!first) return undefined;
  const { choice } = best(records.get(single), candidatesOf(first, capabilities, undefined));
  return choice.kernel === 'gemv' ? orderOf(choice) : undefined;
}

async function measureLinear(
  bench: TrialBench,
  job: TuningJob,
  group: readonly LinearTuning[],
): Promise<(number | 'wrong')[]> {
  const judge = await Judge.create(bench, job, 1);
  const plans = await allocateTrials(bench, job, group);
  const compiled = await Promise.all(plans.map(compiles));
  const times: (number | 'wrong')[] = [];
  for (const [i, plan] of plans.entries()) {
    // What was compiled is measured, even if that took longer than it should: otherwise a slow driver would never get anywhere.
    times.push(compiled[i] && (await judge.accepts(plan)) ? await judge.time(plan) : 'wrong');
  }
  return times;
}

interface Best<T> {
  readonly choice: T;
  readonly ms?: number;
  readonly defaultMs?: number;
}

/** The fastest right candidate, if it beats the default (the first) by more than the guard. */
function best<T extends Tuning>(measured: Measured | undefined, candidates: readonly T[]): Best<T> {
  const timeOf = (tuning: T): number | undefined => {
    const found = measured?.get(nameOf(tuning));
    return typeof found === 'number' ? found : undefined;
  };
  const [byDefault] = candidates;
  const defaultMs = timeOf(byDefault);
  const isWrong = measured?.get(nameOf(byDefault)) === 'wrong';
  let choice = byDefault;
  // A default that computes nonsense loses to anything that was right.
  let ms = isWrong ? Number.POSITIVE_INFINITY : defaultMs;
  if (ms === undefined) return { choice };
  const bar = ms * GUARD;
  for (const candidate of candidates.slice(1)) {
    const time = timeOf(candidate);
    if (time !== undefined && time < Math.min(ms, bar)) {
      choice = candidate;
      ms = time;
    }
  }
  return { choice, ms: Number.isFinite(ms) ? ms : undefined, defaultMs };
}

/** Whether all that could be chosen is what was seen to be wrong. */
function runsWrong(measured: Measured | undefined, candidates: readonly Tuning[]): boolean {
  return measured?.get(nameOf(best(measured, candidates).choice)) === 'wrong';
}

interface Jobs {
  readonly matrices: readonly TuningJob[];
  readonly heads: readonly AttentionJob[];
  readonly experts: readonly ExpertJob[];
}

function conclude({ matrices, heads, experts }: Jobs, records: TuningRecords, capabilities: Capabilities): Tuned {
  const ofMatrices = new Map<string, LinearTuning>();
  const linear = matrices.map((job): TuningChoice => {
    const candidates = candidatesOf(job, capabilities, orderFor(job, matrices, records, capabilities));
    const found = choiceOf(job.key, records, candidates);
    // The default of another order than the usual one has to be said too.
    if (!found.isDefault || job.rowTile !== 1) ofMatrices.set(job.key, found.choice);
    return found;
  });
  const ofHeads = heads.map((job) => choiceOf(job.key, records, attentionCandidates(job)));
  const ofExperts = experts.map((job) => choiceOf(job.key, records, expertCandidates(job, capabilities)));
  const byKey = <T>(found: readonly { key: string; choice: T }[]) =>
    new Map(found.map(({ key, choice }) => [key, choice]));
  const headsByKey = byKey(ofHeads);
  const expertsByKey = byKey(ofExperts);
  return {
    tuning: {
      linear: (key) => ofMatrices.get(key),
      attention: (key) => headsByKey.get(key),
      experts: (key) => expertsByKey.get(key),
    },
    choices: [...linear, ...ofHeads, ...ofExperts],
  };
}

/** What is known of the candidates, the default first, and which of them to run. */
function choiceOf<T extends Tuning>(
  key: string,
  records: TuningRecords,
  candidates: readonly T[],
): TuningChoice & { readonly choice: T } {
  const measured = records.get(key);
  const { choice, ms, defaultMs } = best(measured, candidates);
  const names = candidates.map(nameOf);
  return {
    key,
    choice,
    isDefault: choice === candidates[0],
    ms,
    defaultMs,
    measured: names.filter((name) => measured?.has(name)).length,
    candidates: names.length,
    wrong: names.filter((name) => measured?.get(name) === 'wrong'),
    isWrong: runsWrong(measured, candidates),
  };
}
