import { afterAll, describe, expect, it } from 'vitest';
import { create } from 'webgpu';
import { Engine } from '../../src/engine/engine';
import { GREEDY } from '../../src/engine/runner';
import type { GpuDevice } from '../../src/gpu/device';
import { PipelineCache } from '../../src/gpu/pipelines';
import { allShaderSources } from '../../src/gpu/shader_sources';
import {
  type AttentionJob,
  attentionCandidates,
  attentionJobs,
  measureAttention,
} from '../../src/model/autotune/attention';
import { autotune } from '../../src/model/autotune/autotune';
import type { TrialBench } from '../../src/model/autotune/bench';
import { candidatesOf } from '../../src/model/autotune/jobs';
import { allocateTrials, Judge } from '../../src/model/autotune/trial';
import { wrongKernels } from '../../src/model/autotune/wrong_kernels';
import { describeChoices } from '../../src/model/bench/choices';
import { GpuTensors } from '../../src/model/gpu_tensors';
import type { LoadModelOptions } from '../../src/model/layout';
import { type LoadedModel, loadModel } from '../../src/model/load_model';
import { seededRandom } from '../../src/model/random';
import { StepEncoder, stepBufferWords } from '../../src/model/step_encoder';
import { syntheticModel } from '../../src/model/synthetic';
import type { AttentionCall, LinearCall } from '../../src/ops/calls';
import { tuningKey } from '../../src/ops/linear/tuning';
import type { Activation, Weight } from '../../src/ops/op';
import type { GemmTuning, GemvTuning } from '../../src/ops/tuning';
import type { TextStore } from '../../src/storage/text_store';
import { loadRandomWeights } from './random_weight';

const SHAPE = {
  numLayers: 1,
  hiddenSize: 64,
  intermediateSize: 96,
  numHeads: 4,
  numKvHeads: 2,
  headDim: 16,
  vocabSize: 300,
  contextLength: 128,
  ropeTheta: 10_000,
  tied: true,
};

class MemoryStore implements TextStore {
  readonly texts = new Map<string, string>();
  writes = 0;
  read(name: string): Promise<string | undefined> {
    return Promise.resolve(this.texts.get(name));
  }
  write(name: string, text: string): Promise<void> {
    this.writes++;
    this.texts.set(name, text);
    return Promise.resolve();
  }
}

const loaded: LoadedModel[] = [];
afterAll(() => {
  for (const model of loaded) model.dispose();
});

const MODEL = syntheticModel('tiny', SHAPE, 'f16');
const WITH_EXPERTS = syntheticModel(
  'tiny experts',
  { ...SHAPE, architecture: 'qwen3moe', experts: { count: 5, used: 2, size: 64 } },
  'f16',
);

async function loadedFrom(loading: Promise<LoadedModel>): Promise<LoadedModel> {
  const model = await loading;
  loaded.push(model);
  return model;
}

function load(tune: LoadModelOptions['tune']): Promise<LoadedModel> {
  return loadedFrom(loadModel(MODEL, { backend: 'webgpu', maxRows: 16, tune }));
}

async function answer({ runner }: LoadedModel): Promise<readonly number[]> {
  const engine = new Engine(runner);
  const promptTokens = Array.from({ length: 20 }, (_, i) => (i * 37) % 300);
  const request = { promptTokens, maxTokens: 8, sampling: GREEDY, stopTokens: new Set<number>() };
  const { outputTokens } = await engine.generate(request).drain();
  engine.dispose();
  return outputTokens;
}

/** A model of one matrix, drawn from a seed, and steps of up to 32 rows. */
async function benchOf(gpu: GpuDevice, { weight }: LinearCall): Promise<TrialBench> {
  const capacity = { maxRows: 32, maxSegments: 1, maxSampledRows: 1, contextLength: 64, tileRows: 32 };
  const tensors = await GpuTensors.create(gpu, {
    maxRows: 32,
    maxSampledRows: 1,
    numPages: 2,
    kvType: 'f32',
    stepWords: stepBufferWords(capacity),
  });
  await loadRandomWeights(gpu, tensors, [weight], seededRandom(3));
  const target = {
    capabilities: gpu.capabilities,
    kvType: 'f32' as const,
    contextLength: 64,
    maxSampledRows: 1,
    maxSlots: 1,
    weightParts: (part: Weight) => tensors.weightParts(part),
  };
  const lastTokens = { name: 'last_tokens', words: 1 };
  return { gpu, tensors, encoder: new StepEncoder(capacity), lastTokens, maxRows: 32, target };
}

describe('autotuner', () => {
  it('times right variants, remembers what it measured, goes on from there, and changes no answer', async () => {
    const store = new MemoryStore();
    const tuned = await load({ mode: 'always', budgetMs: 500, store });
    const measured = (model: LoadedModel): number => model.tuning.reduce((sum, choice) => sum + choice.measured, 0);
    expect(measured(tuned)).toBeGreaterThan(2);
    // Attention comes first, and then one matmul: there was no time for more.
    const attention = tuned.tuning.filter(({ choice }) => choice.kernel === 'decode');
    expect(attention.map(({ measured }) => measured)).toEqual([4]);
    for (const choice of tuned.tuning) {
      expect(choice.wrong, choice.key).toEqual([]);
      if (!choice.isDefault && choice.ms !== undefined) expect(choice.ms).toBeLessThan(choice.defaultMs as number);
    }
    const plain = await load({ mode: 'never' });
    expect(plain.tuning).toEqual([]);
    expect(await answer(tuned)).toEqual(await answer(plain));

    // Time for nothing: what is known comes from the store, and what is not stays open.
    const again = await load({ mode: 'always', budgetMs: 0, store });
    expect(again.tuning).toEqual(tuned.tuning);
    expect(store.writes).toBe(1);
    expect(again.tuning.some(({ measured, candidates }) => measured < candidates)).toBe(true);
  });

  it('says aloud where all variants were wrong', async () => {
    // Dawn's null backend compiles in moments and computes nothing: every variant is wrong, and none is timed.
    const gpu: GPU = create(['backend=null']);
    const store = new MemoryStore();
    for (const budgetMs of [30, 300]) {
      const tune = { mode: 'always', budgetMs, store } as const;
      const said: (string | undefined)[] = [];
      const onProgress = ({ notice }: { notice?: string }): void => void said.push(notice);
      // Steps may have more rows than a sequence has positions.
      const options = { backend: 'webgpu', gpu, maxRows: 64, contextLength: 60, tune, onProgress } as const;
      const { tuning, warnings } = await loadedFrom(loadModel(WITH_EXPERTS, options));
      expect(tuning.length).toBeGreaterThan(10);
      const kernels = new Set(tuning.map(({ choice }) => choice.kernel));
      expect([...kernels].sort()).toEqual(['decode', 'expert_gemm', 'expert_gemv', 'gemm', 'gemv', 'prefill']);
      expect(warnings).toEqual([expect.stringMatching(/^Do not trust the answers: on this GPU /)]);
      expect(said).toContain(warnings[0]);
      for (const { choice } of describeChoices(tuning.filter(({ measured }) => measured > 0))) {
        expect(choice).toContain('WRONG');
      }
      for (const { key, measured, wrong } of tuning) {
        expect(wrong, key).toHaveLength(measured);
      }
    }
  });

  it('leaves a software adapter with the defaults unless it is told otherwise', async () => {
    const store = new MemoryStore();
    const { capabilities, tuning } = await load({ store, budgetMs: 1000 });
    expect(tuning.length > 0).toBe(capabilities?.software === false);
  });

  it('throws out a variant that computes something else', async () => {
    const model = await load({ mode: 'never' });
    const gpu = model.device as GpuDevice;
    const call: LinearCall = {
      op: 'linear',
      x: { name: 'x', cols: 64, rows: 'step', type: 'f32' },
      weight: { name: 'w', format: 'f16', rows: 40, cols: 64 },
      out: { name: 'y', cols: 40, rows: 'step', type: 'f32' },
      outColumn: 0,
      accumulate: false,
      epilogue: 'none',
    };
    const bench = await benchOf(gpu, call);
    const { tensors } = bench;
    const job = { key: tuningKey(call, 1), rowTile: 1, calls: [call], rows: 1, partialRows: 1, bytes: 1 } as const;
    const judge = await Judge.create(bench, job, 7);
    const [byDefault] = candidatesOf(job, gpu.capabilities, undefined);
    const [right] = await allocateTrials(bench, job, [byDefault]);
    await right.prepare();
    expect(await judge.accepts(right)).toBe(true);
    // A kernel that is off by a thousandth.
    const scaled = { ...job, calls: [{ ...call, scale: 1.001 }] };
    const [wrong] = await allocateTrials(bench, scaled, [byDefault]);
    await wrong.prepare();
    expect(await judge.accepts(wrong)).toBe(false);

    // A kernel of four rows that is right with four, and writes as many with three.
    const tileOf4 = { ...job, key: tuningKey(call, 4), rowTile: 4, rows: 4, partialRows: 3 } as const;
    const sources = await allShaderSources();
    const withFault = (entry: string, from: string, to: string): GpuDevice => {
      const text = sources.get(entry)?.replace(from, to);
      expect(text).not.toBe(sources.get(entry));
      const pipelines = new PipelineCache(gpu.device, new Map([...sources, [entry, text ?? '']]));
      return Object.create(gpu, { pipelines: { value: pipelines } }) as GpuDevice;
    };
    const careless = withFault('lib/linear_lanes.wgsl', 'if (row < rows) { store_value', '{ store_value');
    const judgeOf4 = await Judge.create(bench, tileOf4, 7);
    for (const [on, accepted] of [
      [gpu, true],
      [careless, false],
    ] as const) {
      const [plan] = await allocateTrials({ ...bench, gpu: on }, tileOf4, [byDefault]);
      await plan.prepare();
      expect(await judgeOf4.accepts(plan)).toBe(accepted);
    }

    // The whole tuner on a GPU whose driver gets the default's kernel wrong: it is found out, never timed, and another one is chosen.
    const { x: broken } = byDefault as GemvTuning;
    const entry = broken === 'direct' ? 'ops/linear_gemv_direct.wgsl' : 'ops/linear_gemv.wgsl';
    const faulty = withFault(entry, 'first_out, first_row, rows, one);', 'first_out + 1u, first_row, rows, one);');
    const plans = [{ bucket: { minRows: 1, maxRows: 1 }, calls: [call] }];
    const store = new MemoryStore();
    const tune = () => autotune({ ...bench, gpu: faulty }, plans, { budgetMs: 1, store, version: '1' });
    // A group of variants each time, going on from what the store remembers.
    let tuned = await tune();
    for (let load = 0; load < 5 && tuned.choices[0].isDefault; load++) tuned = await tune();
    const [found] = tuned.choices;
    expect((found.choice as GemvTuning).x).not.toBe(broken);
    expect(found.ms).toBeGreaterThan(0);
    expect(found.defaultMs).toBeUndefined();
    expect(wrongKernels(tuned.choices)).toBeUndefined();
    expect(tuned.tuning.linear(job.key)).toEqual(found.choice);
    const [records] = [...store.texts.values()].map(
      (text) => JSON.parse(text) as Record<string, Record<string, unknown>>,
    );
    const measured = Object.entries(records[job.key]);
    expect(measured).toHaveLength(found.measured);
    for (const [name, ms] of measured) {
      if ((JSON.parse(name) as GemvTuning).x === broken) expect(ms, name).toBe('wrong');
      else expect(ms, name).toBeGreaterThan(0);
    }
    expect(found.wrong).toHaveLength(measured.filter(([, ms]) => ms === 'wrong').length);
    tensors.dispose();
  });

  it('checks and times what takes several dispatches: shared columns, and codes', async () => {
    const model = await load({ mode: 'never' });
    const gpu = model.device as GpuDevice;
    const type = gpu.capabilities.f16 && gpu.capabilities.dot4 ? 'f16' : 'f32';
    const call: LinearCall = {
      op: 'linear',
      x: { name: 'x', cols: 512, rows: 'step', type },
      weight: { name: 'w', format: 'q8_0', rows: 40, cols: 512 },
      out: { name: 'y', cols: 40, rows: 'step', type },
      outColumn: 0,
      accumulate: true,
      epilogue: 'none',
    };
    const bench = await benchOf(gpu, call);
    const job = {
      key: tuningKey(call, 'many'),
      rowTile: 'many',
      calls: [call],
      rows: 32,
      partialRows: 27,
      bytes: 1,
    } as const;
    const candidates = candidatesOf(job, gpu.capabilities, undefined) as GemmTuning[];
    const several = candidates.filter(
      (tuning) => tuning.splitTo > 0 && tuning.tileRows === 32 && tuning.tileType === (type === 'f16' ? 'i8' : 'f32'),
    );
    expect(several.length).toBeGreaterThan(0);
    const judge = await Judge.create(bench, job, 7);
    const [plan] = await allocateTrials(bench, job, several.slice(0, 1));
    await plan.prepare();
    expect(await judge.accepts(plan)).toBe(true);
    expect(await judge.time(plan)).toBeGreaterThan(0);
    bench.tensors.dispose();
  });

  it.each([
    ['prefill', 'q8_0'],
    ['decode', 'q4_0'],
  ] as const)(
    'checks and times the attention of a %s over a %s cache',
    async (kernel, kvType) => {
      const model = await load({ mode: 'never' });
      const gpu = model.device as GpuDevice;
      const activation = (name: string): Activation => ({ name, cols: 128, rows: 'step', type: 'f32' });
      const cache = { layer: 0, numKvHeads: 2, headDim: 32 };
      const call: AttentionCall = {
        op: 'attention',
        q: activation('q'),
        out: activation('out'),
        cache,
        numHeads: 4,
        scale: 0.2,
      };
      const contextLength = 320;
      const capacity = { maxRows: 40, maxSegments: 1, maxSampledRows: 1, contextLength, tileRows: 32 };
      const tensors = await GpuTensors.create(gpu, {
        maxRows: 40,
        maxSampledRows: 1,
        numPages: 10,
        kvType,
        stepWords: stepBufferWords(capacity),
      });
      const target = {
        capabilities: gpu.capabilities,
        kvType,
        contextLength,
        maxSampledRows: 1,
        maxSlots: 1,
        weightParts: () => [],
      };
      const lastTokens = { name: 'last_tokens', words: 1 };
      const bench = { gpu, tensors, encoder: new StepEncoder(capacity), lastTokens, maxRows: 40, target };
      const plans = [
        { bucket: { minRows: 1, maxRows: 16 }, calls: [call] },
        { bucket: { minRows: 17, maxRows: 40 }, calls: [call] },
      ];
      const job = attentionJobs(plans, bench).find((one) => one.kernel === kernel) as AttentionJob;
      const candidates = attentionCandidates(job);
      expect(candidates.length).toBeGreaterThan(4);
      const times = await measureAttention(bench, job, candidates.slice(-2));
      expect(times.every((time) => typeof time === 'number' && time > 0)).toBe(true);
      tensors.dispose();
    },
    300_000,
  );
});
