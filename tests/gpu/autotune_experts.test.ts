/** The tuner on the kernels of experts: it times what is right, for few rows and many, and finds out what is not. */
import { expect, test } from 'vitest';
import type { GpuDevice } from '../../src/gpu/device';
import { PipelineCache } from '../../src/gpu/pipelines';
import { allShaderSources } from '../../src/gpu/shader_sources';
import { expertCandidates, expertJobs, measureExperts } from '../../src/model/autotune/experts';
import { GpuTensors } from '../../src/model/gpu_tensors';
import { normals, seededRandom } from '../../src/model/random';
import { StepEncoder, stepBufferWords } from '../../src/model/step_encoder';
import type { ExpertLinearCall } from '../../src/ops/calls';
import { expertGroups } from '../../src/ops/experts/groups';
import type { Activation, Weight } from '../../src/ops/op';
import { loadRandomWeights } from './random_weight';
import { withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);
const MAX_ROWS = 40;
const EXPERTS = 5;
const TOP_K = 2;
const COLS = 544;
const OUTS = 38;

const device = withDevice();

function activation(name: string, cols: number): Activation {
  return { name, cols, rows: 'step', type: 'f32' };
}

const weight: Weight = { name: 'experts', format: 'q4_0', rows: EXPERTS * OUTS, cols: COLS, stackRows: OUTS };

/** Gate and up with the norm in small steps; the tiles of large ones. */
const gated: ExpertLinearCall = {
  op: 'expert_linear',
  x: activation('x', COLS),
  weight,
  experts: EXPERTS,
  routing: activation('routing', 2 * TOP_K),
  norm: { weight: { name: 'norm', length: COLS }, eps: 1e-5 },
  bias: { name: 'bias', length: weight.rows },
  out: activation('hidden', (TOP_K * OUTS) / 2),
  outColumn: 0,
  combine: false,
  accumulate: false,
  epilogue: 'swiglu',
};
const combined: ExpertLinearCall = {
  ...gated,
  x: activation('hidden of slots', TOP_K * COLS),
  norm: undefined,
  bias: undefined,
  out: activation('out', OUTS),
  combine: true,
  accumulate: true,
  epilogue: 'none',
};
const grouped: ExpertLinearCall = {
  ...gated,
  norm: undefined,
  groups: expertGroups(MAX_ROWS, TOP_K, EXPERTS, 64),
};
const PLANS = [
  { bucket: { minRows: 1, maxRows: 16 }, calls: [gated, combined] },
  { bucket: { minRows: 17, maxRows: MAX_ROWS }, calls: [grouped] },
];

async function makeBench(gpu: GpuDevice) {
  const random = seededRandom(SEED);
  const capacity = { maxRows: MAX_ROWS, maxSegments: 1, maxSampledRows: 1, contextLength: 64, tileRows: 32 };
  const tensors = await GpuTensors.create(gpu, {
    maxRows: MAX_ROWS,
    maxSampledRows: 1,
    numPages: 2,
    kvType: 'f32',
    stepWords: stepBufferWords(capacity),
  });
  await loadRandomWeights(gpu, tensors, [weight], random);
  await tensors.addVector({ name: 'norm', length: COLS }, normals(COLS, random));
  await tensors.addVector({ name: 'bias', length: weight.rows }, normals(weight.rows, random));
  const target = {
    capabilities: gpu.capabilities,
    kvType: 'f32' as const,
    contextLength: 64,
    maxSampledRows: 1,
    maxSlots: 1,
    weightParts: (asked: Weight) => tensors.weightParts(asked),
  };
  const lastTokens = { name: 'last_tokens', words: 1 };
  return { gpu, tensors, encoder: new StepEncoder(capacity), lastTokens, maxRows: MAX_ROWS, target };
}

test('times variants that are right and leave a row the same bits among others', async () => {
  const bench = await makeBench(await device());
  const jobs = expertJobs(PLANS, bench);
  expect(jobs.map(({ kernel }) => kernel)).toEqual(['few rows', 'few rows', 'many rows']);
  const random = seededRandom(SEED);
  for (const job of jobs) {
    const candidates = expertCandidates(job, bench.target.capabilities);
    expect(candidates.length).toBeGreaterThan(5);
    const drawn = [candidates[1 + Math.floor(random() * (candidates.length - 1))]];
    const [time] = await measureExperts(bench, job, drawn);
    expect(time, `seed ${SEED}: ${job.key} ${JSON.stringify(drawn)}`).toBeGreaterThan(0);
  }
  bench.tensors.dispose();
});

test('finds out a kernel that is wrong in tiles that are not full', async () => {
  const gpu = await device();
  const bench = await makeBench(gpu);
  const entry = 'ops/expert_gemm.wgsl';
  const sources = await allShaderSources();
  const text = sources
    .get(entry)
    ?.replace('if (row >= tile.pairs) { return; }', 'if (row >= tile.pairs - 1u) { return; }');
  expect(text).not.toBe(sources.get(entry));
  const pipelines = new PipelineCache(gpu.device, new Map([...sources, [entry, text ?? '']]));
  const faulty = Object.create(gpu, { pipelines: { value: pipelines } }) as GpuDevice;
  const [job] = expertJobs(PLANS, bench).filter(({ kernel }) => kernel === 'many rows');
  const [byDefault] = expertCandidates(job, gpu.capabilities);
  expect(await measureExperts({ ...bench, gpu: faulty }, job, [byDefault])).toEqual(['wrong']);
  bench.tensors.dispose();
});
