import type { Batch, Sample, SegmentResult } from '../engine/runner';

/** Adds to each segment's result the rows that it asked for; `hidden`: [rows of the step × size]. */
export function withHidden(
  { segments }: Batch,
  results: readonly SegmentResult[],
  hidden: Float32Array,
  size: number,
): SegmentResult[] {
  let first = 0;
  return segments.map(({ tokens, returnHidden }, i) => {
    const from = first;
    first += tokens.length;
    if (!returnHidden) return results[i];
    return {
      ...results[i],
      hidden: tokens.map((_, row) => hidden.slice((from + row) * size, (from + row + 1) * size)),
    };
  });
}

/**
 * Deals the step's samples (and logit rows, [sampled rows × size]) out to the segments that asked for them. Of a repeated batch
 * there are the samples of each run, one run after another.
 */
export function groupSamples(
  batch: Batch,
  samples: readonly Sample[],
  logits: Float32Array | undefined,
  size: number,
): SegmentResult[] {
  const { segments, repeat = 1 } = batch;
  if (repeat > 1) {
    return segments.map((_, i) => ({ samples: samples.filter((_, at) => at % segments.length === i) }));
  }
  let at = 0;
  return segments.map((segment) => {
    const count = segment.sample === 'none' ? 0 : segment.sample === 'all' ? segment.tokens.length : 1;
    const first = at;
    at += count;
    const own = samples.slice(first, at);
    if (!segment.returnLogits || !logits) return { samples: own };
    const rows = Array.from({ length: count }, (_, i) => logits.slice((first + i) * size, (first + i + 1) * size));
    return { samples: own, logits: rows };
  });
}
