import { InternalError } from '../errors';
import type { KvPages } from './kv_pages';
import type { PrefixCache } from './prefix_cache';
import type { Sequence } from './sequence';

/** What sequences take over from each other, and leave to those that begin alike. */
export class PageSharing {
  constructor(
    private readonly pages: KvPages,
    private readonly prefixes: PrefixCache | undefined,
    /** Layers have a state that cannot be shared or cut back. */
    private readonly recurrent = false,
  ) {}

  /** Takes over what the parent or any other sequence has computed; the last token stays to be computed, for its logits. */
  takeOver(sequence: Sequence): void {
    const { parent, tokens, id } = sequence;
    if (this.recurrent || !sequence.sharesPrefix) return;
    const most = tokens.length - 1;
    const inherited = Math.min(parent?.computed ?? 0, most);
    if (
      parent?.state.kind === 'running' &&
      // It may have lost tokens since.
      tokens.slice(0, inherited).every((token, i) => token === parent.tokens[i]) &&
      this.pages.canContinue(parent.id, inherited)
    ) {
      sequence.computed = inherited;
      this.pages.fork(parent.id, id, inherited);
      return;
    }
    const match = this.prefixes?.match(tokens.slice(0, most));
    if (!match || match.positions === 0) return;
    sequence.computed = match.positions;
    this.pages.adopt(id, match);
  }

  /** The sequence cannot start yet: others may have what it had taken over. */
  giveBack(sequence: Sequence): void {
    if (this.pages.has(sequence.id)) this.pages.free(sequence.id);
    sequence.computed = 0;
  }

  /** `child`, which runs, gives back what it had and shares what `parent` has computed. False when the parent is not there to share. */
  become(child: Sequence, parent: Sequence): boolean {
    this.prefixes?.leave(child.id);
    this.pages.free(child.id);
    child.computed = 0;
    const shared = Math.min(parent.computed, child.tokens.length - 1);
    if (parent.state.kind !== 'running' || !this.pages.canContinue(parent.id, shared)) return false;
    child.computed = shared;
    this.pages.fork(parent.id, child.id, shared);
    return true;
  }

  /** The sequence has taken positions back (rejected drafts): frees the pages past what is left. */
  cutBack({ id, computed, stepsInFlight, tokens }: Sequence): void {
    if (this.recurrent) throw new InternalError(`sequence ${id} of a recurrent model takes positions back`);
    if (stepsInFlight > 0)
      throw new InternalError(`sequence ${id} takes positions back that a step in flight goes on from`);
    this.pages.truncate(id, Math.max(computed, tokens.length));
  }

  /** Puts what a sequence has computed into the prefix cache: full pages, and when it goes (`leaves`) also the last one. */
  record(sequence: Sequence, leaves = false): void {
    const { id, tokens, computed, sharesPrefix } = sequence;
    if (!this.prefixes || !sharesPrefix || !this.pages.has(id)) return;
    // What is computed but not known yet, or follows a stop token, is nobody's.
    this.pages.record(id, tokens, Math.min(computed, tokens.length), leaves);
  }
}
