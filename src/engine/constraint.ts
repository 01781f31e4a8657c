import type { RowRange } from './sequence';

/** What may follow the tokens of an output that were accepted so far. */
export type NextTokens =
  /** Some token that the mask allows: its form is that of Segment.masks. Tokens that end the output are among them where it may end. */
  | { readonly kind: 'choice'; readonly mask: Uint32Array }
  /** Nothing: the output is complete. */
  | { readonly kind: 'end' }
  /** Nothing, and the output is not complete: the vocabulary lacks what has to come. */
  | { readonly kind: 'dead end' };

/** A language that one output must belong to; follows the output token by token. */
export interface TokenConstraint {
  next(): NextTokens;
  /** Goes on by a token that `next` allows and that does not end the output. */
  accept(token: number): void;
  /** Takes back the last tokens. */
  rollback(count: number): void;
  /** Tokens that spell what has to follow in any case, possibly none; nothing changes before they are accepted. */
  forced(): readonly number[];
  /** Frees what it holds; nothing else is called afterwards. */
  dispose(): void;
}

/** Whether a mask (Segment.masks) lets a token be chosen. */
export function allows(mask: Uint32Array, token: number): boolean {
  return ((mask[token >>> 5] >>> (token & 31)) & 1) === 1;
}

/** One output under a constraint: remembers what may follow until the next token, and the masks of drafts while they are verified. */
export class ConstrainedOutput {
  #next: NextTokens | undefined;
  #draftMasks: readonly Uint32Array[] = [];

  /** `jumps`: what is forced may be written down without asking the model. */
  constructor(
    private readonly constraint: TokenConstraint,
    private readonly jumps: boolean,
  ) {}

  get next(): NextTokens {
    this.#next ??= this.constraint.next();
    return this.#next;
  }

  /** Whether `token` may come now. */
  allows(token: number): boolean {
    return this.next.kind === 'choice' && allows(this.next.mask, token);
  }

  /** Goes on by a token that is allowed and does not end the output. */
  accept(token: number): void {
    this.#next = undefined;
    this.constraint.accept(token);
  }

  /** Tokens that must follow in any case. */
  get forced(): readonly number[] {
    return this.jumps && this.next.kind === 'choice' ? this.constraint.forced() : [];
  }

  /**
   * How many of the drafts may be verified: up to the first that is forbidden or ends the output, and no further than to where something is
   * forced, as that is written down without them. Their masks are kept for `masks`.
   */
  admit(drafts: readonly number[], stopTokens: ReadonlySet<number>): number {
    const masks: Uint32Array[] = [];
    let accepted = 0;
    let next = this.next;
    for (const draft of drafts) {
      if (next.kind !== 'choice' || !allows(next.mask, draft) || stopTokens.has(draft)) break;
      this.constraint.accept(draft);
      accepted++;
      next = this.constraint.next();
      if (next.kind !== 'choice' || (this.jumps && this.constraint.forced().length > 0)) break;
      masks.push(next.mask);
    }
    this.constraint.rollback(accepted);
    this.#draftMasks = masks;
    return masks.length;
  }

  /** The masks of the sampled rows. */
  masks({ count, sample, drafted }: RowRange): (Uint32Array | undefined)[] | undefined {
    if (sample === 'none') return undefined;
    const mask = this.next.kind === 'choice' ? this.next.mask : undefined;
    return drafted ? [mask, ...this.#draftMasks.slice(0, count - 1)] : [mask];
  }

  dispose(): void {
    this.constraint.dispose();
  }
}
