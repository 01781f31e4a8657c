import {
  type Batch,
  MAX_DRY_PENALTIES,
  MAX_TOP_LOGPROBS,
  type RunnerLimits,
  type SamplingSettings,
  type Segment,
} from '../engine/runner';
import { chainOfSegment, usesPenalties } from '../engine/sampler_chain';
import { featuresOf } from '../engine/step_features';
import { InternalError } from '../errors';
import { attentionTileRows } from '../ops/attention/tile';
import type { OpCall } from '../ops/calls';
import type { ReferenceStep } from '../ops/op';
import { encodeSampling, floatBits, LARGEST_F32 } from '../ops/sample/record';
import {
  DOLA_WORDS,
  GUIDANCE_WORDS,
  HEADER,
  PAGE_SIZE,
  ROW_WORDS,
  SAMPLED_WORDS,
  SAMPLING,
  SAMPLING_WORDS,
  SEGMENT_WORDS,
  STEP_HEADER_WORDS,
  type StepShape,
  TILE_WORDS,
} from '../ops/step_layout';

export interface StepCapacity {
  readonly maxRows: number;
  readonly maxSegments: number;
  readonly maxSampledRows: number;
  readonly contextLength: number;
  /** Set when caches with a window have a pool of their own, and block tables. */
  readonly sliding?: RunnerLimits['sliding'];
  /** Words of a sampled row's mask of allowed tokens. Absent or 0: no row has one. */
  readonly maskWords?: number;
  /** Rows of one attention tile (ops/attention/tile.ts). */
  readonly tileRows: number;
  /** Tokens of a row of logits and positions of a slot's past. Absent: every row is greedy. */
  readonly sampler?: { readonly vocabSize: number; readonly contextLength: number };
}

/** Rows of an attention tile that suits every attention call of a plan. */
export function tileRowsOf(calls: readonly OpCall[]): number {
  const rows = calls.flatMap((call) =>
    call.op === 'attention' ? [attentionTileRows(call.numHeads, call.cache.numKvHeads, call.cache.headDim)] : [],
  );
  return rows.length === 0 ? PAGE_SIZE : Math.min(...rows);
}

function pagesFor(positions: number): number {
  return Math.ceil(positions / PAGE_SIZE);
}

/** Words that the step buffer needs for the largest step. */
export function stepBufferWords(c: StepCapacity): number {
  const tables = c.maxSegments * pagesFor(c.contextLength) * (c.sliding ? 2 : 1);
  return (
    STEP_HEADER_WORDS +
    c.maxRows * (ROW_WORDS + TILE_WORDS) +
    c.maxSegments * (SEGMENT_WORDS + SAMPLING_WORDS + DOLA_WORDS + GUIDANCE_WORDS) +
    c.maxSampledRows * (SAMPLED_WORDS + 4 + 2 * MAX_DRY_PENALTIES + 2 * MAX_TOP_LOGPROBS) +
    tables +
    (c.maskWords ? c.maxSampledRows * (1 + c.maskWords) : 0)
  );
}

/** How many rows of a segment are sampled, and the first of them (relative to the segment). */
function sampledRange(segment: Segment): { first: number; count: number } {
  const rows = segment.tokens.length;
  if (segment.sample === 'none') return { first: rows, count: 0 };
  return segment.sample === 'all' ? { first: 0, count: rows } : { first: rows - 1, count: 1 };
}

function isPlainGreedy(segment: Segment): boolean {
  const s: SamplingSettings = segment.sampling;
  return (
    s.temperature === 0 &&
    !usesPenalties(s) &&
    s.logitBias.length === 0 &&
    s.topLogprobs < 0 &&
    chainOfSegment(segment) === undefined
  );
}

/** Writes the rows of a batch out, as kernels and references see them. */
export function describeStep(batch: Batch): ReferenceStep {
  const rows: { token: number; position: number; segment: number }[] = [];
  const sampled: { row: number; segment: number }[] = [];
  const segments = batch.segments.map((segment, index) => {
    const firstRow = rows.length;
    const range = sampledRange(segment);
    const firstSampledRow = sampled.length;
    segment.tokens.forEach((token, i) => {
      rows.push({ token, position: segment.position + i, segment: index });
    });
    for (let i = 0; i < range.count; i++) sampled.push({ row: firstRow + range.first + i, segment: index });
    return {
      slot: segment.slot,
      firstRow,
      rowCount: segment.tokens.length,
      firstPosition: segment.position,
      length: segment.position + segment.tokens.length,
      pages: segment.pages,
      slidingPages: segment.slidingPages ?? segment.pages,
      firstSampledRow,
      sampledRows: range.count,
    };
  });
  return { source: batch, rows, segments, sampled };
}

/** Turns batches into the words of the step buffer. Owns one array and never allocates after construction. */
export class StepEncoder {
  private readonly words: Uint32Array<ArrayBuffer>;

  constructor(private readonly capacity: StepCapacity) {
    this.words = new Uint32Array(stepBufferWords(capacity));
  }

  /** The returned view is valid until the next call. Throws InternalError when the batch exceeds the capacity. */
  encode(batch: Batch): { readonly words: Uint32Array<ArrayBuffer>; readonly shape: StepShape } {
    const { capacity, words } = this;
    let rows = 0;
    let sampledRows = 0;
    let tiles = 0;
    let maxLength = 0;
    let greedy = true;
    let tableWords = 0;
    const repeat = batch.repeat ?? 1;
    for (const segment of batch.segments) {
      const count = segment.tokens.length;
      const length = segment.position + count;
      const end = length + repeat - 1;
      if (count === 0 || segment.pages.length * PAGE_SIZE < end || end > capacity.contextLength) {
        throw new InternalError(
          `segment of slot ${segment.slot}: ${count} rows at position ${segment.position}, ${repeat} times, on ${segment.pages.length} pages, context ${capacity.contextLength}`,
        );
      }
      if (capacity.sliding && (segment.slidingPages?.length ?? 0) * PAGE_SIZE < end) {
        throw new InternalError(
          `segment of slot ${segment.slot}: ${segment.slidingPages?.length ?? 0} pages of layers that slide for ${end} positions`,
        );
      }
      tableWords += pagesFor(end);
      if (repeat > 1 && segment.sample !== 'last') {
        throw new InternalError(`segment of slot ${segment.slot}: sample ${segment.sample}, is repeated`);
      }
      rows += count;
      tiles += Math.ceil(count / capacity.tileRows);
      maxLength = Math.max(maxLength, length);
      const sampled = sampledRange(segment).count;
      sampledRows += sampled;
      if (sampled > 0 && !isPlainGreedy(segment)) greedy = false;
    }
    const segments = batch.segments.length;
    if (rows > capacity.maxRows || segments > capacity.maxSegments || sampledRows > capacity.maxSampledRows) {
      throw new InternalError(
        `a step of ${rows} rows, ${segments} segments, ${sampledRows} sampled rows exceeds ${capacity.maxRows}, ${capacity.maxSegments}, ${capacity.maxSampledRows}`,
      );
    }

    const rowsOffset = STEP_HEADER_WORDS;
    const segmentsOffset = rowsOffset + rows * ROW_WORDS;
    const samplingOffset = segmentsOffset + segments * SEGMENT_WORDS;
    const sampledOffset = samplingOffset + segments * SAMPLING_WORDS;
    const tilesOffset = sampledOffset + sampledRows * SAMPLED_WORDS;
    let pagesOffset = tilesOffset + tiles * TILE_WORDS;
    words.fill(0, 0, pagesOffset);
    words[HEADER.rows] = rows;
    words[HEADER.segments] = segments;
    words[HEADER.sampledRows] = sampledRows;
    words[HEADER.tiles] = tiles;
    words[HEADER.rowsOffset] = rowsOffset;
    words[HEADER.segmentsOffset] = segmentsOffset;
    words[HEADER.samplingOffset] = samplingOffset;
    words[HEADER.sampledOffset] = sampledOffset;
    words[HEADER.tilesOffset] = tilesOffset;
    const slidingTables = capacity.sliding ? tableWords : 0;
    words[HEADER.slidingTables] = slidingTables;
    words[HEADER.vocabSize] = capacity.sampler?.vocabSize ?? 0;
    words[HEADER.contextLength] = capacity.sampler?.contextLength ?? 0;

    let row = 0;
    let sampledRow = 0;
    let tile = tilesOffset;
    batch.segments.forEach((segment, index) => {
      const count = segment.tokens.length;
      const length = segment.position + count;
      const sampled = sampledRange(segment);
      const at = segmentsOffset + index * SEGMENT_WORDS;
      words[at] = segment.slot;
      words[at + 1] = row;
      words[at + 2] = count;
      words[at + 3] = segment.position;
      words[at + 4] = pagesOffset;
      words[at + 5] = length;
      words[at + 6] = sampledRow;
      words[at + 7] = sampled.count;
      encodeSampling(segment, words, samplingOffset + index * SAMPLING_WORDS);
      for (let i = 0; i < count; i++) {
        const to = rowsOffset + (row + i) * ROW_WORDS;
        words[to] = segment.tokens[i];
        words[to + 1] = segment.position + i;
        words[to + 2] = index;
      }
      for (let i = 0; i < sampled.count; i++, sampledRow++) {
        words[sampledOffset + sampledRow * SAMPLED_WORDS] = row + sampled.first + i;
        words[sampledOffset + sampledRow * SAMPLED_WORDS + 1] = index;
      }
      for (let i = 0; i < count; i += capacity.tileRows, tile += TILE_WORDS) {
        words[tile] = index;
        words[tile + 1] = row + i;
      }
      // Only the pages that hold what is read and written: the table may already have room for more.
      const pages = pagesFor(length + repeat - 1);
      for (let i = 0; i < pages; i++) words[pagesOffset + i] = segment.pages[i];
      if (capacity.sliding && segment.slidingPages) {
        // What was left is never read.
        for (let i = 0; i < pages; i++) words[pagesOffset + slidingTables + i] = Math.max(0, segment.slidingPages[i]);
      }
      pagesOffset += pages;
      row += count;
    });

    pagesOffset += slidingTables;
    const features = featuresOf(batch);
    const chainEnd = features.includes('sampler_chain')
      ? this.encodeProposals(batch, this.encodeDry(batch, pagesOffset, samplingOffset), samplingOffset)
      : pagesOffset;
    const masksEnd = features.includes('masks') ? this.encodeMasks(batch, chainEnd, sampledRows) : chainEnd;
    const dolaEnd = features.includes('dola') ? this.encodeDola(batch, masksEnd) : masksEnd;
    const end = features.includes('guidance') ? this.encodeGuidance(batch, dolaEnd) : dolaEnd;
    return {
      words: words.subarray(0, end),
      shape: { rows, segments, sampledRows, tiles, maxLength, greedy, features },
    };
  }

  /** Writes the penalties of DRY, and into the sampling records where they are; returns where they end. */
  private encodeDry(batch: Batch, offset: number, samplingOffset: number): number {
    const { words } = this;
    let end = offset;
    batch.segments.forEach((segment, index) => {
      const { slot, dryPenalties } = segment;
      if (!dryPenalties) return;
      const { count } = sampledRange(segment);
      if (dryPenalties.length !== count || (batch.repeat ?? 1) > 1) {
        throw new InternalError(
          `segment of slot ${slot}: penalties of DRY for ${dryPenalties.length} of ${count} sampled rows, ${batch.repeat ?? 1} times`,
        );
      }
      words[samplingOffset + index * SAMPLING_WORDS + SAMPLING.dryOffset] = end;
      let entry = end;
      end += 2 * count;
      for (const penalties of dryPenalties) {
        if (penalties.length > MAX_DRY_PENALTIES) {
          throw new InternalError(`segment of slot ${slot}: ${penalties.length} penalties of DRY for one row`);
        }
        words[entry++] = end;
        words[entry++] = penalties.length;
        for (const [token, penalty] of penalties) {
          words[end++] = token;
          words[end++] = floatBits(Math.min(penalty, LARGEST_F32));
        }
      }
    });
    return end;
  }

  /** Writes what guesses were drawn from, and into the sampling records where that is; returns where it ends. */
  private encodeProposals(batch: Batch, offset: number, samplingOffset: number): number {
    const { words } = this;
    let end = offset;
    batch.segments.forEach((segment, index) => {
      const { slot, proposals, tokens, sample } = segment;
      if (!proposals) return;
      const fits = proposals.every(
        (proposal, i) => proposal.length <= MAX_TOP_LOGPROBS && proposal.some(([token]) => token === tokens[i + 1]),
      );
      if (sample !== 'all' || proposals.length !== tokens.length - 1 || (batch.repeat ?? 1) > 1 || !fits) {
        throw new InternalError(
          `segment of slot ${slot}: ${proposals.length} proposals for ${tokens.length} rows, sample ${sample}, ${batch.repeat ?? 1} times`,
        );
      }
      words[samplingOffset + index * SAMPLING_WORDS + SAMPLING.proposalsOffset] = end;
      let entry = end;
      end += 2 * tokens.length;
      for (const proposal of [...proposals, []]) {
        words[entry++] = end;
        words[entry++] = proposal.length;
        for (const [token, probability] of proposal) {
          words[end++] = token;
          words[end++] = floatBits(probability);
        }
      }
    });
    return end;
  }

  /** Writes which segments are guided away from which rows; returns where that ends. */
  private encodeGuidance({ segments }: Batch, offset: number): number {
    const { words } = this;
    words[HEADER.guidanceOffset] = offset;
    const end = offset + segments.length * GUIDANCE_WORDS;
    words.fill(0, offset, end);
    const rows = new Map<number, number>();
    let sampledRow = 0;
    for (const segment of segments) {
      rows.set(segment.slot, sampledRow);
      sampledRow += sampledRange(segment).count;
    }
    segments.forEach((segment, index) => {
      const { guidance, slot } = segment;
      if (!guidance) return;
      const other = segments.find((candidate) => candidate.slot === guidance.slot);
      if (!other || other.guidance || sampledRange(other).count !== 1 || sampledRange(segment).count !== 1) {
        throw new InternalError(
          `segment of slot ${slot} is guided by slot ${guidance.slot}: one sampled row each in one step`,
        );
      }
      words[offset + index * GUIDANCE_WORDS] = 1 + (rows.get(guidance.slot) ?? 0);
      words[offset + index * GUIDANCE_WORDS + 1] = floatBits(guidance.scale);
    });
    return end;
  }

  /** Writes which layers each segment contrasts; returns where that ends. */
  private encodeDola({ segments }: Batch, offset: number): number {
    const { words } = this;
    words[HEADER.dolaOffset] = offset;
    const end = offset + segments.length * DOLA_WORDS;
    words.fill(0, offset, end);
    segments.forEach(({ dola = [] }, index) => {
      for (const layer of dola) words[offset + index * DOLA_WORDS + (layer >>> 5)] |= 1 << (layer & 31);
    });
    return end;
  }

  /** Writes the table of masks and the masks; returns where they end. */
  private encodeMasks(batch: Batch, offset: number, sampledRows: number): number {
    const { words, capacity } = this;
    words[HEADER.masksOffset] = offset;
    let entry = offset;
    let end = offset + sampledRows;
    for (const segment of batch.segments) {
      const { count } = sampledRange(segment);
      const { slot, masks } = segment;
      if (masks && (masks.length !== count || (batch.repeat ?? 1) > 1)) {
        throw new InternalError(
          `segment of slot ${slot}: ${masks.length} masks for ${count} sampled rows, ${batch.repeat ?? 1} times`,
        );
      }
      for (let i = 0; i < count; i++, entry++) {
        const mask = masks?.[i];
        words[entry] = mask ? end : 0;
        if (!mask) continue;
        if (!capacity.maskWords || mask.length !== capacity.maskWords) {
          throw new InternalError(
            `segment of slot ${slot}: a mask of ${mask.length} words, expected ${capacity.maskWords ?? 0}`,
          );
        }
        words.set(mask, end);
        end += mask.length;
      }
    }
    return end;
  }
}
