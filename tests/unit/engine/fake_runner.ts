import {
  type Batch,
  type KvGroup,
  type PageStore,
  PENDING_TOKEN,
  type Runner,
  type RunnerLimits,
  type Sample,
  type Segment,
  type SegmentResult,
  type SlotInit,
  type StepResult,
} from '../../../src/engine/runner';
import { DeviceLostError } from '../../../src/errors';

/** A seeded generator of numbers in [0, 1) (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Entry {
  readonly token: number;
  readonly position: number;
}

const STALE = -1;

/** The toy model: the next token is a hash of all tokens so far, each with its position, and of the seed. */
export function nextToken(tokens: readonly number[], seed: number, vocabSize: number): number {
  let hash = 0x811c9dc5 ^ seed;
  tokens.forEach((token, position) => {
    hash = Math.imul(hash ^ (token + position * 7919), 0x01000193);
    hash ^= hash >>> 13;
  });
  return (hash >>> 0) % vocabSize;
}

/** The toy model's likeliest tokens with their log-probabilities: a softmax over hashes of the tokens with each candidate behind them. */
export function likeliest(
  tokens: readonly number[],
  count: number,
  vocabSize: number,
): [token: number, logprob: number][] {
  const logits = Array.from({ length: vocabSize }, (_, token) => nextToken([...tokens, token], 99, 1000) / 250);
  const logSum = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
  return logits
    .map((logit, token): [number, number] => [token, logit - logSum])
    .sort(([a, p], [b, q]) => q - p || a - b)
    .slice(0, count);
}

/** What comes out of the toy model's last layer after these tokens: 6 values that follow from all of them. */
export function toyHidden(tokens: readonly number[]): Float32Array {
  return Float32Array.from({ length: 6 }, (_, i) => nextToken(tokens, 200 + i, 1000) / 500 - 0.9);
}

/** What the toy model adds to the tokens that it looks at when it is guided away from others. */
export function guidedBy(tokens: readonly number[], scale: number): number[] {
  return [-1, Math.round(100 * scale), ...tokens];
}

/**
 * A toy language model with a true paged cache: every row writes its token and position into its page, and a sampled row reads all
 * positions back through the block table. A wrong page, a missing copy, a stale row or position throws or changes the output. Layers that
 * slide have a cache of their own, in which the window must hold the same.
 */
export class FakeRunner implements Runner {
  steps = 0;
  rows = 0;
  maxRowsSeen = 0;
  pendingRows = 0;
  maxRepeatSeen = 1;
  readonly #cache: Entry[];
  /** Of layers that slide. */
  readonly #slidingCache: Entry[];
  readonly #lastToken: number[];
  readonly #opened = new Map<number, SlotInit>();
  readonly #stepsOfSlot: number[];
  #openedInVain = 0;
  #settled: Promise<unknown> = Promise.resolve();

  /** `latency` gives the turns of the event loop until a step's results arrive. The runner is lost after `loseAfter` steps. */
  constructor(
    readonly limits: RunnerLimits,
    private readonly latency: () => number,
    private readonly loseAfter = Number.POSITIVE_INFINITY,
    /** One in this many tokens is another than the toy model's: a draft model. */
    private readonly noise = Number.POSITIVE_INFINITY,
  ) {
    const cache = (pages: number): Entry[] =>
      Array.from({ length: pages * limits.pageSize }, () => ({ token: STALE, position: STALE }));
    this.#cache = cache(limits.numPages);
    this.#slidingCache = cache(limits.sliding?.numPages ?? 0);
    this.#lastToken = Array.from({ length: limits.maxSlots }, () => STALE);
    this.#stepsOfSlot = Array.from({ length: limits.maxSlots }, () => 0);
  }

  openSlot(slot: number, init: SlotInit): void {
    if (!(slot >= 0 && slot < this.limits.maxSlots)) throw new Error(`no slot ${slot}`);
    if (this.#stepsOfSlot[slot] > 0)
      throw new Error(`slot ${slot} was opened while ${this.#stepsOfSlot[slot]} of its steps fly`);
    if (++this.#openedInVain > 100) throw new Error('slots are opened again and again, and nothing runs');
    this.#opened.set(slot, init);
    this.#lastToken[slot] = STALE;
  }

  copyPages(pairs: readonly (readonly [from: number, to: number])[], group: KvGroup): void {
    const { pageSize } = this.limits;
    const cache = this.#cacheOf(group);
    for (const [from, to] of pairs) {
      if (!cache[from * pageSize] || !cache[to * pageSize]) throw new Error(`no page ${from} or ${to} of ${group}`);
      for (let i = 0; i < pageSize; i++) cache[to * pageSize + i] = cache[from * pageSize + i];
    }
  }

  /** Pages as pairs of words: token, position. */
  get pages(): PageStore {
    const { pageSize } = this.limits;
    return {
      pageBytes: (group) => (group === 'full' || this.limits.sliding ? pageSize * 8 : 0),
      identity: async () => `toy of ${this.limits.vocabSize}`,
      read: async (pages, group) => {
        const cache = this.#cacheOf(group);
        const entries = pages.flatMap((page) => cache.slice(page * pageSize, (page + 1) * pageSize));
        return new Uint8Array(Int32Array.from(entries.flatMap(({ token, position }) => [token, position])).buffer);
      },
      snapshot: async (pages, group) => {
        const cache = this.#cacheOf(group);
        const entries = pages.flatMap((page) => cache.slice(page * pageSize, (page + 1) * pageSize));
        const bytes = new Uint8Array(
          Int32Array.from(entries.flatMap(({ token, position }) => [token, position])).buffer,
        );
        await new Promise((resolve) => setImmediate(resolve));
        return bytes;
      },
      write: (pages, bytes, group) => {
        const cache = this.#cacheOf(group);
        const words = new Int32Array(bytes.slice().buffer);
        pages.forEach((page, i) => {
          for (let j = 0; j < pageSize; j++) {
            const at = 2 * (i * pageSize + j);
            cache[page * pageSize + j] = { token: words[at], position: words[at + 1] };
          }
        });
      },
    };
  }

  run(batch: Batch): Promise<StepResult> {
    this.steps++;
    this.#openedInVain = 0;
    if (this.steps > this.loseAfter) return this.#later(() => Promise.reject(new DeviceLostError('the toy was lost')));
    const result = { segments: this.#executeRuns(batch) };
    for (const { slot } of batch.segments) this.#stepsOfSlot[slot]++;
    return this.#later(() => {
      for (const { slot } of batch.segments) this.#stepsOfSlot[slot]--;
      return result;
    });
  }

  dispose(): void {}

  #executeRuns(batch: Batch): SegmentResult[] {
    const { repeat = 1, segments } = batch;
    if (repeat > (this.limits.maxRepeat ?? 1)) throw new Error(`a step ${repeat} times`);
    this.maxRepeatSeen = Math.max(this.maxRepeatSeen, repeat);
    const results = this.#execute(batch);
    for (let run = 1; run < repeat; run++) {
      if (segments.some(({ sample }) => sample !== 'last')) throw new Error('repeated rows');
      const next = segments.map((segment) => ({
        ...segment,
        tokens: [PENDING_TOKEN],
        position: segment.position + segment.tokens.length - 1 + run,
      }));
      this.#execute({ segments: next }).forEach(({ samples }, i) => {
        results[i] = { samples: [...results[i].samples, ...samples] };
      });
    }
    return results;
  }

  #execute(batch: Batch): SegmentResult[] {
    const { limits } = this;
    const rows = batch.segments.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const sampled = batch.segments.reduce(
      (sum, { sample, tokens }) => sum + (sample === 'all' ? tokens.length : sample === 'last' ? 1 : 0),
      0,
    );
    if (rows === 0 || rows > limits.maxRows) throw new Error(`a step of ${rows} rows`);
    if (sampled > limits.maxSampledRows) throw new Error(`a step of ${sampled} sampled rows`);
    if (new Set(batch.segments.map(({ slot }) => slot)).size !== batch.segments.length) throw new Error('a slot twice');
    this.rows += rows;
    this.maxRowsSeen = Math.max(this.maxRowsSeen, rows);
    // All rows write before any of them reads, as on a GPU; pages that two segments write would show.
    for (const segment of batch.segments) {
      const { proposals, tokens, sample } = segment;
      const isProposed = (token: number, i: number): boolean => proposals?.[i]?.[0]?.[0] === token;
      if (
        proposals &&
        (sample !== 'all' || proposals.length + 1 !== tokens.length || !tokens.slice(1).every(isProposed))
      )
        throw new Error(`proposals of other tokens than slot ${segment.slot} verifies`);
      if (!this.#opened.has(segment.slot)) throw new Error(`slot ${segment.slot} was not opened`);
      segment.tokens.forEach((known, i) => {
        if (known === PENDING_TOKEN) this.pendingRows++;
        const token = known === PENDING_TOKEN ? this.#lastToken[segment.slot] : known;
        if (!(token >= 0 && token < limits.vocabSize)) throw new Error(`no token ${token}`);
        if (segment.position + i >= limits.contextLength) throw new Error('past the context');
        const position = segment.position + i;
        this.#cache[this.#address(segment.pages, position, limits.numPages)] = { token, position };
        if (limits.sliding) {
          const to = this.#address(segment.slidingPages ?? [], position, limits.sliding.numPages);
          this.#slidingCache[to] = { token, position };
        }
      });
    }
    return batch.segments.map((segment) => {
      const samples: Sample[] = [];
      const logits: Float32Array[] = [];
      const hidden = segment.tokens.map((_, i) =>
        segment.returnHidden ? toyHidden(this.#read(segment, segment.position + i + 1)) : new Float32Array(0),
      );
      segment.tokens.forEach((_, i) => {
        const last = i === segment.tokens.length - 1;
        if (segment.sample === 'none' || (segment.sample === 'last' && !last)) return;
        const context = this.#read(segment, segment.position + i + 1);
        const right = nextToken([...context, ...this.#guide(batch, segment)], segment.sampling.seed, limits.vocabSize);
        const wrong = 1 + nextToken(context, segment.sampling.seed + 1, 1000) <= 1000 / this.noise;
        const chosen = wrong ? (right + 1) % limits.vocabSize : right;
        const mask = segment.masks?.[segment.sample === 'all' ? i : 0];
        const token = mask ? nextAllowed(mask, chosen, limits.vocabSize) : chosen;
        const { topLogprobs } = segment.sampling;
        const likely = topLogprobs > 0 ? likeliest(context, topLogprobs, limits.vocabSize) : [];
        // It is certain of what it proposes.
        const top = segment.proposes ? ([[token, 1]] as const) : likely;
        samples.push({ token, logprob: Number.NaN, top, accepted: segment.tokens[i + 1] === token });
        if (segment.returnLogits) logits.push(oneHot(token, limits.vocabSize));
        this.#lastToken[segment.slot] = token;
      });
      return { samples, ...(segment.returnLogits && { logits }), ...(segment.returnHidden && { hidden }) };
    });
  }

  /** The tokens that a guided row is guided away from, behind a mark; none where it is not guided. */
  #guide({ segments }: Batch, { guidance }: Segment): number[] {
    if (!guidance) return [];
    const other = segments.find(({ slot }) => slot === guidance.slot);
    if (other?.sample !== 'last' || other.guidance) throw new Error(`slot ${guidance.slot} guides nobody in this step`);
    return guidedBy(this.#read(other, other.position + other.tokens.length), guidance.scale);
  }

  #read({ pages, slidingPages = [] }: Segment, length: number): number[] {
    const { numPages, sliding } = this.limits;
    return Array.from({ length }, (_, position) => {
      const entry = this.#cache[this.#address(pages, position, numPages)];
      if (entry.position !== position) throw new Error(`position ${position} holds what belongs to ${entry.position}`);
      if (sliding && position >= length - sliding.window) {
        const other = this.#slidingCache[this.#address(slidingPages, position, sliding.numPages)];
        if (other.position !== position || other.token !== entry.token)
          throw new Error(`position ${position} of layers that slide holds what belongs to ${other.position}`);
      }
      return entry.token;
    });
  }

  #cacheOf(group: KvGroup): Entry[] {
    return group === 'full' ? this.#cache : this.#slidingCache;
  }

  #address(pages: readonly number[], position: number, numPages: number): number {
    const { pageSize } = this.limits;
    const page = pages[Math.floor(position / pageSize)];
    if (!(page >= 0 && page < numPages)) throw new Error(`no page for position ${position}`);
    return page * pageSize + (position % pageSize);
  }

  /** Results arrive in order, each some turns of the event loop after the one before. */
  #later<T>(result: () => T | Promise<T>): Promise<T> {
    const turns = this.latency();
    const settled = this.#settled
      .catch(() => undefined)
      .then(async () => {
        for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
        return result();
      });
    this.#settled = settled;
    return settled;
  }
}

/** The first token from `token` on that the mask allows, around the end. */
export function nextAllowed(mask: Uint32Array, token: number, vocabSize: number): number {
  for (let i = 0; i < vocabSize; i++) {
    const candidate = (token + i) % vocabSize;
    if ((mask[candidate >> 5] >> (candidate & 31)) & 1) return candidate;
  }
  return 0;
}

function oneHot(token: number, vocabSize: number): Float32Array {
  const logits = new Float32Array(vocabSize);
  logits[token] = 1;
  return logits;
}
