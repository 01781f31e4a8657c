/** What the benchmark suite measures and how it says it (docs/benchmarks.md). Plain data: it crosses a worker's edge and is the JSON output. */
import type { AdapterDescription, Capabilities } from '../../gpu/capabilities';
import type { MachineSpeed } from '../../gpu/micro_bench';
import type { ActivationType, KvType } from '../../ops/op';
import type { ProfiledKernel } from '../profile_model';
import type { StepCost } from '../step_cost';
import type { CallsPerToken } from './generation';
import type { LoadSpeed } from './load_speed';
import type { Spread } from './statistics';

/** What was asked for, defaults filled in. */
export interface BenchmarkSettings {
  /** Prompt lengths. */
  readonly prefill: readonly number[];
  /** Cached positions before the token that is decoded. */
  readonly depths: readonly number[];
  /** Rows of one step, for the cost curve v(n). */
  readonly rows: readonly number[];
  /** Tokens generated through the whole engine; 0 leaves that out. */
  readonly tokens: number;
  readonly repetitions: number;
  /** Of each single measurement; what takes longer is repeated less often or left out. */
  readonly maxSeconds: number;
}

export interface Environment {
  readonly backend: 'webgpu' | 'reference';
  /** Browser or runtime, as it names itself. */
  readonly runtime: string;
  readonly adapter?: AdapterDescription;
  /** Optional features that the device was created with. */
  readonly features: readonly string[];
  readonly limits?: Capabilities['limits'];
}

export interface BenchmarkedModel {
  readonly name: string;
  readonly architecture: string;
  readonly parameters: number;
  /** Positions of the KV cache in this run. */
  readonly contextLength: number;
  readonly trainedContextLength: number;
  readonly kvType: KvType;
  /** What lies between kernels. */
  readonly activationType: ActivationType;
  /** Bytes on the GPU. */
  readonly weightBytes: number;
}

/** A prompt computed in chunks, from the first submit until its first token is read. Times in milliseconds. */
export interface PrefillPoint {
  readonly tokens: number;
  readonly ms: Spread;
  readonly tokensPerSecond: number;
  /** Of all its chunks; absent on the reference executor. */
  readonly least?: StepCost;
  /** Of the FMA peak in the type of the activations; absent without a yardstick. */
  readonly fractionOfPeak?: number;
}

/** Steps of several rows of one sequence at a depth, the next one submitted before the last is read, as the engine does. */
export interface StepPoint {
  readonly rows: number;
  readonly depth: number;
  /** Of one step. */
  readonly ms: Spread;
  readonly tokensPerSecond: number;
  /** Absent on the reference executor. */
  readonly least?: StepCost;
  /** What the step's kernels say they read and write, activations and partial results included. */
  readonly statedBytes?: number;
  /** (weights + KV) per second, of the measured stream bandwidth; absent without a yardstick. */
  readonly fractionOfBandwidth?: number;
}

/** A decode step at a depth. */
export interface DepthPoint extends StepPoint {
  /** Over the time at depth 0; absent where that was not measured. */
  readonly cost?: number;
}

/** A step of n rows over a step of one, at depth 0: v(n). */
export interface RowsPoint extends StepPoint {
  readonly cost: number;
}

/** Through scheduler, sampler and stream, greedily, one sequence. */
export interface GenerationPoint {
  readonly promptTokens: number;
  readonly tokens: number;
  /** From the first token to the last. */
  readonly ms: Spread;
  readonly tokensPerSecond: number;
  /** WebGPU calls counted on the API; absent on the reference executor. */
  readonly callsPerToken?: CallsPerToken;
  /** JavaScript per token, the calls of WebGPU included, waiting left out. */
  readonly jsMsPerToken: number;
}

export interface FirstToken {
  readonly promptTokens: number;
  /** From the call that loads the model to its first token. Drivers may keep compiled shaders from earlier runs. */
  readonly coldMs: number;
  /** The same prompt length on the loaded model. */
  readonly warmMs: Spread;
}

export interface SelfTestSummary {
  readonly passed: number;
  readonly failures: readonly { readonly op: string; readonly label: string; readonly reason: string }[];
}

/** Kernels of one step, timed one by one on a device of their own. */
export interface ProfiledStepTable {
  readonly step: string;
  readonly kernels: readonly ProfiledKernel[];
}

/** What the autotuner runs where it had a choice. */
export interface TunedChoice {
  readonly key: string;
  readonly choice: string;
}

/** Something that was asked for and not measured, or less often than asked for. */
export interface LeftOut {
  readonly what: string;
  readonly reason: string;
}

export interface BenchmarkReport {
  /** ISO 8601. */
  readonly date: string;
  readonly environment: Environment;
  readonly model: BenchmarkedModel;
  readonly settings: BenchmarkSettings;
  readonly selfTest?: SelfTestSummary;
  readonly machine?: MachineSpeed;
  readonly load?: LoadSpeed;
  readonly firstToken?: FirstToken;
  readonly prefill: readonly PrefillPoint[];
  readonly decode: readonly DepthPoint[];
  readonly rows: readonly RowsPoint[];
  readonly generation?: GenerationPoint;
  /** Bytes of all GPU buffers with the model loaded. */
  readonly gpuBytes?: number;
  readonly profile?: readonly ProfiledStepTable[];
  readonly choices: readonly TunedChoice[];
  readonly leftOut: readonly LeftOut[];
}
