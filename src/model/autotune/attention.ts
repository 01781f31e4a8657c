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
import { decodeKv, encodeKv } from '../../ops/kv_codec';
import { kvValueBytes } from '../../ops/kv_layout';
import type { RowBucket } from '../../ops/op';
import { PAGE_SIZE } from '../../ops/step_layout';
import type { AttentionTuning } from '../../ops/tuning';
import { decodeFloats, encodeFloats, normalisedError } from '../case_runner';
import { normals, seededRandom } from '../random';
import { describeStep } from '../step_encoder';
import type { PreparedPlan } from '../webgpu_executor';
import {
  measureTrials,
  noReference,
  readVector,
  type TrialBench,
  timePlan,
  trialSegment,
  writeSegment,
  writtenBy,
} from './bench';
import { beginningWith, type PlanOfBucket } from './jobs';

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

/** Pages that are drawn at random and come again and again: encoding them all would take longer than measuring. No divisor of a split's. */
const DRAWN_PAGES = 7;
/** Rows that are held against the reference: enough for the kernel of larger steps. */
const CHECKED_ROWS = MAX_DECODE_ROWS + 4;
const CHECKED_DECODE_ROWS = 3;

/** What the attention of a model leaves open: of one row first, then of large steps. */
export function attentionJobs(
  plans: readonly PlanOfBucket[],
  bench: Pick<TrialBench, 'target' | 'maxRows'>,
): AttentionJob[] {
  return (['decode', 'prefill'] as const).flatMap((kernel) => {
    const plan = plans.find(({ bucket }) => kernel === 'decode' || bucket.minRows > MAX_DECODE_ROWS);
    if (!plan) return [];
    const found = new Map<string, AttentionCall[]>();
    for (const call of plan.calls) {
      if (call.op !== 'attention') continue;
      const key = attentionTuningKey(call, bench.target, kernel);
      found.set(key, [...(found.get(key) ?? []), call]);
    }
    // The kernel of one row is that of up to 16.
    const decodeRows = Math.min(CHECKED_DECODE_ROWS, bench.maxRows);
    const bucket = kernel === 'decode' ? { minRows: 1, maxRows: decodeRows } : plan.bucket;
    return [...found].map(([key, calls]) => ({ key, kernel, bucket, calls: calls.slice(0, MAX_CALLS) }));
  });
}

/** The default first. */
export function attentionCandidates({ kernel, calls: [call] }: AttentionJob): AttentionTuning[] {
  const decodes = kernel === 'decode';
  const first = decodes ? defaultAttentionTuning() : defaultPrefillTuning(call);
  const all = decodes ? attentionTunings(call) : prefillTunings(call);
  return beginningWith<AttentionTuning>(first, all);
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
  const tunings = candidates.map((tuning) => ({
    linear: () => undefined,
    attention: (asked: string) => (asked === key ? tuning : undefined),
  }));
  const times = await measureTrials(bench, job, tunings, async () => {
    const rows = rowsOf(bench, job);
    const checked = Math.min(bucket.maxRows, positionsOf(bench), CHECKED_ROWS);
    const expected = await fillAndExpect(bench, call, checked);
    return {
      accepts: (plan) => accepts(bench, call, plan, checked, expected),
      time: (plan) => timePlan(bench, plan, writeStep(bench, rows)),
    };
  });
  const cleared = new Uint8Array(kvValueBytes(target.kvType, cacheValues(bench, call)));
  for (const which of ['k', 'v'] as const) {
    gpu.device.queue.writeBuffer(tensors.kv(call.cache, which), 0, cleared);
  }
  return times;
}

function positionsOf({ target, tensors }: TrialBench): number {
  const { numPages, sliding } = tensors.sizes;
  return Math.min(POSITIONS, target.contextLength, PAGE_SIZE * Math.min(numPages, sliding?.numPages ?? numPages));
}

/** Of the step that is measured: the largest of the job's plan that fits, and one when decoding. */
function rowsOf(bench: TrialBench, { kernel, bucket }: AttentionJob): number {
  return kernel === 'decode' ? 1 : Math.min(bucket.maxRows, positionsOf(bench));
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

/** Of K or of V in the pages that the step reads. */
function cacheValues(bench: TrialBench, { cache }: AttentionCall): number {
  const pages = Math.ceil(positionsOf(bench) / PAGE_SIZE);
  return pages * cache.numKvHeads * PAGE_SIZE * cache.headDim;
}

/** Random queries, and random keys and values in the pages that the step reads; what the reference makes of them. */
async function fillAndExpect(bench: TrialBench, call: AttentionCall, rows: number): Promise<Float32Array> {
  const { gpu, tensors, target } = bench;
  const { q, cache, out } = call;
  const random = seededRandom(2);
  const { queue } = gpu.device;
  const { kvType } = target;
  const encoded = encodeFloats(normals(rows * q.cols, random), q.type);
  queue.writeBuffer(tensors.activation(q), 0, encoded);
  const queries = decodeFloats(encoded, q.type, rows * q.cols);
  const count = cacheValues(bench, call);
  const drawn = Math.min(count, DRAWN_PAGES * PAGE_SIZE * cache.numKvHeads * cache.headDim);
  const fill = (which: 'k' | 'v'): Float32Array => {
    const bytes = encodeKv(normals(drawn, random), kvType);
    const values = decodeKv(bytes, kvType, drawn);
    const cached = new Float32Array(count);
    for (let from = 0; from < count; from += drawn) {
      const part = Math.min(drawn, count - from);
      queue.writeBuffer(tensors.kv(cache, which), kvValueBytes(kvType, from), bytes, 0, kvValueBytes(kvType, part));
      cached.set(values.subarray(0, part), from);
    }
    return cached;
  };
  const k = fill('k');
  const v = fill('v');
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
  const columns = { from: 0, to: out.cols };
  const found = await writtenBy(bench, plan, writeStep(bench, rows), { out, rows, columns });
  return found !== undefined && normalisedError(found, expected) <= (out.type === 'f16' ? 1e-6 : 1e-9);
}
