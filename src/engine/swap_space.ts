import { InternalError } from '../errors';
import type { KvPages } from './kv_pages';
import type { PageStore } from './runner';
import type { Sequence } from './sequence';

/** Of a preempted sequence, in host memory. */
interface SwappedPages {
  readonly positions: number;
  readonly bytes: number;
  /** Absent while they are on their way. */
  content?: readonly [full: Uint8Array, sliding: Uint8Array];
}

/** How a sequence that loses its pages gets its keys and values back. `auto`: whichever the measured costs say. */
export type PreemptionMode = (typeof PREEMPTION_MODES)[number];

export const PREEMPTION_MODES = ['auto', 'recompute', 'swap'] as const;

export interface SwapOptions {
  readonly mode: PreemptionMode;
  /** Host memory that swapped pages may take. */
  readonly maxBytes: number;
  /** Pages have arrived, or are lost. */
  readonly onSettled: () => void;
}

/** Before the first measurement: slow for a discrete GPU, so that a swap has to be clearly better. */
const ASSUMED_BYTES_PER_MS = 500_000;
/** Of a copy in either direction, whatever its size. */
const FIXED_MS = 2;
/** Weight of the newest measurement. */
const NEWEST = 0.25;

/**
 * Pages of preempted sequences in host memory. Computing n positions again takes n times what a row of a prompt takes; swapping takes
 * the bytes of their pages twice over the bus. Both are measured; small models recompute, large ones with a long context swap.
 */
export class SwapSpace {
  /** Sequences that went to host memory, and those that came back from there. */
  outs = 0;
  ins = 0;
  readonly #pages = new Map<number, SwappedPages>();
  #bytes = 0;
  #reading = 0;
  #bytesPerMs: number | undefined;
  #msPerRow: number | undefined;

  constructor(
    private readonly kv: KvPages,
    private readonly store: PageStore,
    private readonly options: SwapOptions,
  ) {}

  /** Pages that are on their way: somebody will be woken. */
  get reading(): boolean {
    return this.#reading > 0;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A step of nothing but `rows` rows of prompts took `ms`. */
  observePrefill(rows: number, ms: number): void {
    this.#msPerRow = mixed(this.#msPerRow, ms / rows);
  }

  /** Takes the pages of a sequence that is about to lose them, if that pays. They may be given to others at once. */
  out(sequence: Sequence): void {
    const { id, computed, tokens } = sequence;
    // Rows behind the newest token are guesses, or give tokens that nobody knows yet; the newest one's logits are wanted again.
    const positions = Math.min(computed, tokens.length - 1);
    this.drop(id);
    if (positions < 1 || !this.kv.canContinue(id, positions)) return;
    const { pages, slidingPages } = this.kv.seen(id, positions);
    const bytes = pages.length * this.store.pageBytes('full') + slidingPages.length * this.store.pageBytes('sliding');
    if (!this.#pays(positions, bytes)) return;
    const entry: SwappedPages = { positions, bytes };
    this.outs++;
    this.#pages.set(id, entry);
    this.#bytes += bytes;
    this.#reading++;
    const start = performance.now();
    Promise.all([this.store.snapshot(pages, 'full'), this.store.snapshot(slidingPages, 'sliding')]).then(
      (content) => {
        entry.content = content;
        const ms = performance.now() - start - FIXED_MS;
        if (ms > 0) this.#bytesPerMs = mixed(this.#bytesPerMs, bytes / ms);
        this.#settled();
      },
      () => {
        // The sequence is computed again; a device that is lost shows in its steps.
        if (this.#pages.get(id) === entry) this.drop(id);
        this.#settled();
      },
    );
  }

  /** Positions that the sequence has in host memory, or 'reading' while they are on their way. */
  positionsOf({ id }: Sequence): number | 'reading' {
    const entry = this.#pages.get(id);
    if (!entry) return 0;
    return entry.content ? entry.positions : 'reading';
  }

  /** Brings the positions back into the pages that were placed for them. */
  in({ id }: Sequence): void {
    const entry = this.#pages.get(id);
    if (!entry?.content) throw new InternalError(`sequence ${id} has nothing in host memory`);
    const { pages, slidingPages } = this.kv.seen(id, entry.positions);
    const [full, sliding] = entry.content;
    this.store.write(pages, full, 'full');
    if (slidingPages.length > 0) this.store.write(slidingPages, sliding, 'sliding');
    this.ins++;
    this.drop(id);
  }

  /** Forgets what the sequence has there, if anything. */
  drop(sequence: number): void {
    const entry = this.#pages.get(sequence);
    if (!entry) return;
    this.#pages.delete(sequence);
    this.#bytes -= entry.bytes;
  }

  /** Sequences that have something here. */
  owners(): Iterable<number> {
    return this.#pages.keys();
  }

  #pays(positions: number, bytes: number): boolean {
    const { mode, maxBytes } = this.options;
    if (mode === 'recompute' || this.#bytes + bytes > maxBytes) return false;
    if (mode === 'swap') return true;
    if (this.#msPerRow === undefined) return false;
    return 2 * (FIXED_MS + bytes / (this.#bytesPerMs ?? ASSUMED_BYTES_PER_MS)) < positions * this.#msPerRow;
  }

  #settled(): void {
    this.#reading--;
    this.options.onSettled();
  }
}

function mixed(before: number | undefined, now: number): number {
  return before === undefined ? now : before + NEWEST * (now - before);
}
