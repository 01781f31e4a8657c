import type { Segment } from '../../engine/runner';
import { attentionOp } from '../../ops/attention/attention';
import { MAX_DECODE_ROWS } from '../../ops/attention/decode';
import {
  attentionTuningKey,
  attentionTunings,
  defaultAttentionTuning,
  defaultPrefillTuning,
  prefillTunings,
} from '../../ops/attention/tuning';
import type { AttentionCall } from '../../ops/calls';
import type { RowBucket } from '../../ops/op';
import { PAGE_SIZE } from '../../ops/step_layout';
import type { AttentionTuning } from '../../ops/tuning';
import { decodeFloats, encodeFloats, normalisedError } from '../case_runner';
import { normals, seededRandom } from '../random';
import { readBuffer } from '../read_buffer';
import { describeStep } from '../step_encoder';
import { allocatePlans, type PreparedPlan } from '../webgpu_executor';
import {
  compiles,
  noReference,
  readVector,
  runOnce,
  type TrialBench,
  timePlan,
  trialSegment,
  writeSegment,
} from './bench';
import { nameOf, type PlanOfBucket } from './jobs';

/** Calls of a plan that run the same kernel. */
export interface AttentionJob {
  readonly key: string;
  readonly kernel: 'decode' | 'prefill';
  readonly bucket: RowBucket;
  readonly calls: readonly AttentionCall[];
}

const MAX_CALLS = 8;
/** Positions that are attended to: several splits, and some pages of a cache. */
const POSITIONS = 600;

/** Rows that are held against the reference: enough for the kernel of larger steps. */
const CHECKED_ROWS = MAX_DECODE_ROWS + 4;

/** What the attention of a model leaves open: of one row first, then of large steps. Quantised caches run with the default: nobody here knows what their bits say. */
export function attentionJobs(plans: readonly PlanOfBucket[], bench: Pick<TrialBench, 'target'>): AttentionJob[] {
  const { kvType } = bench.target;
  if (kvType !== 'f32' && kvType !== 'f16') return [];
  return (['decode', 'prefill'] as const).flatMap((kernel) => {
    const plan = plans.find(({ bucket }) => kernel === 'decode' || bucket.minRows > MAX_DECODE_ROWS);
    if (!plan) return [];
    const found = new Map<string, AttentionCall[]>();
    for (const call of plan.calls) {
      if (call.op !== 'attention') continue;
      const key = attentionTuningKey(call, bench.target, kernel);
      found.set(key, [...(found.get(key) ?? []), call]);
    }
    const { bucket } = plan;
    return [...found].map(([key, calls]) => ({ key, kernel, bucket, calls: calls.slice(0, MAX_CALLS) }));
  });
}

/** The default first. */
export function attentionCandidates({ kernel, calls: [call] }: AttentionJob): AttentionTuning[] {
  const decodes = kernel === 'decode';
  const first = decodes ? defaultAttentionTuning() : defaultPrefillTuning(call);
  const all = decodes ? attentionTunings(call) : prefillTunings(call);
  return [first, ...all.filter((one) => nameOf(one) !== nameOf(first))];
}

/** Milliseconds of each tuning over the job's layers, or 'wrong' for one that computes something else than the reference. */
export async function measureAttention(
  bench: TrialBench,
  job: AttentionJob,
  candidates: readonly AttentionTuning[],
): Promise<(number | 'wrong')[]> {
  const { gpu, tensors, target } = bench;
  const { key, calls, bucket } = job;
  const [call] = calls;
  const plans = await allocatePlans(
    gpu,
    tensors,
    candidates.map((tuning) => ({
      calls,
      target: {
        ...target,
        bucket,
        tuning: { linear: () => undefined, attention: (asked: string) => (asked === key ? tuning : undefined) },
      },
    })),
  );
  const compiled = await Promise.all(plans.map(compiles));
  const rows = rowsOf(bench, job);
  const checked = Math.min(rows, CHECKED_ROWS);
  const expected = await fillAndExpect(bench, call, checked);
  const times: (number | 'wrong')[] = [];
  for (const [i, plan] of plans.entries()) {
    const right = compiled[i] && (await accepts(bench, call, plan, checked, expected));
    times.push(right ? await timePlan(bench, plan, writeStep(bench, rows)) : 'wrong');
  }
  for (const which of ['k', 'v'] as const) {
    gpu.device.queue.writeBuffer(tensors.kv(call.cache, which), 0, new Uint8Array(cacheBytes(bench, call)));
  }
  return times;
}

function positionsOf({ target, tensors }: TrialBench): number {
  const { numPages, sliding } = tensors.sizes;
  return Math.min(POSITIONS, target.contextLength, PAGE_SIZE * Math.min(numPages, sliding?.numPages ?? numPages));
}

/** Of the step that is measured: the largest of the job's plan that fits. */
function rowsOf(bench: TrialBench, { bucket }: AttentionJob): number {
  return Math.min(bucket.maxRows, positionsOf(bench));
}

/** The last `rows` positions. */
function segmentOf(bench: TrialBench, rows: number): Segment {
  const length = positionsOf(bench);
  const pages = Array.from({ length: Math.ceil(length / PAGE_SIZE) }, (_, page) => page);
  return trialSegment({
    tokens: Array.from({ length: rows }, () => 0),
    position: length - rows,
    pages,
    sample: 'none',
  });
}

function writeStep(bench: TrialBench, rows: number) {
  return writeSegment(bench, segmentOf(bench, rows));
}

/** Of the pages that the step reads. */
function cacheBytes(bench: TrialBench, { cache }: AttentionCall): number {
  const pages = Math.ceil(positionsOf(bench) / PAGE_SIZE);
  return pages * cache.numKvHeads * PAGE_SIZE * cache.headDim * (bench.target.kvType === 'f32' ? 4 : 2);
}

/** Random queries, and random keys and values in the pages that the step reads; what the reference makes of them. */
async function fillAndExpect(bench: TrialBench, call: AttentionCall, rows: number): Promise<Float32Array> {
  const { gpu, tensors, target } = bench;
  const { q, cache, out } = call;
  const random = seededRandom(2);
  const { queue } = gpu.device;
  const fill = (buffer: GPUBuffer, count: number, type: 'f32' | 'f16'): Float32Array => {
    const bytes = encodeFloats(normals(count, random), type);
    queue.writeBuffer(buffer, 0, bytes);
    return decodeFloats(bytes, type, count);
  };
  const queries = fill(tensors.activation(q), rows * q.cols, q.type);
  const kvType = target.kvType === 'f32' ? 'f32' : 'f16';
  const count = cacheBytes(bench, call) / (kvType === 'f32' ? 4 : 2);
  const k = fill(tensors.kv(cache, 'k'), count, kvType);
  const v = fill(tensors.kv(cache, 'v'), count, kvType);
  const sinks = call.sinks && (await readVector(bench, call.sinks));
  const result = new Float32Array(rows * out.cols);
  attentionOp.reference(call, {
    ...noReference,
    batch: describeStep({ segments: [segmentOf(bench, rows)] }),
    activation: ({ name }) => (name === q.name ? queries : result),
    kv: (_, which) => (which === 'k' ? k : v),
    vector: (vector) => sinks ?? noReference.vector(vector),
  });
  return result;
}

async function accepts(
  bench: TrialBench,
  { out }: AttentionCall,
  plan: PreparedPlan,
  rows: number,
  expected: Float32Array,
): Promise<boolean> {
  const { gpu, tensors } = bench;
  const buffer = tensors.activation(out);
  const size = rows * out.cols;
  gpu.device.queue.writeBuffer(buffer, 0, encodeFloats(new Float32Array(size), out.type));
  const shape = writeStep(bench, rows);
  await runOnce(bench, plan, shape, 0);
  const bytes = out.type === 'f16' ? Math.ceil(size / 2) * 4 : size * 4;
  const found = decodeFloats(await readBuffer(gpu, buffer, 0, bytes), out.type, size);
  return normalisedError(found, expected) <= (out.type === 'f16' ? 1e-6 : 1e-9);
}
