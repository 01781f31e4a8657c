import { Branch, type BranchGroup } from './branch';
import type { StrategyHost } from './host';

/** A branch and the token with which it goes on from what `parent` has. */
interface Step {
  readonly parent: Branch;
  readonly token: number;
}

/**
 * The branches of a group: one with the prompt at first, then up to `count`. A branch stays with its first continuation; the others are taken
 * over by branches that have none, which share its pages from there.
 */
export class Branches {
  /** Numbers that are not in use yet; side by side, so that no other request comes between two branches. */
  readonly #ids: number[];
  #all: Branch[];
  #running: readonly Branch[];

  constructor(
    private readonly promptTokens: readonly number[],
    private readonly group: BranchGroup,
    private readonly host: StrategyHost,
    count: number,
  ) {
    this.#ids = [...host.takeIds(count)];
    const id = this.#ids.shift() as number;
    const first = new Branch(id, promptTokens, group, id);
    this.#all = [first];
    this.#running = [first];
  }

  /** Those that the last step gave a token, in its order. */
  get running(): readonly Branch[] {
    return this.#running;
  }

  get first(): Branch {
    return this.#all[0];
  }

  /** Each has its result. */
  get settled(): boolean {
    return this.#running.every(({ result }) => result !== undefined);
  }

  /** Gives the branches their next tokens; at most as many steps as there may be branches. */
  advance(steps: readonly Step[]): void {
    const before = new Map(this.#running.map((branch) => [branch, branch.tokens.slice()]));
    const parents = new Set(steps.map(({ parent }) => parent));
    const free = this.#all.filter((branch) => !parents.has(branch));
    const kept = new Set<Branch>();
    this.#running = steps.map(({ parent, token }) => {
      const tokens = [...(before.get(parent) ?? []), token];
      if (!kept.has(parent)) {
        kept.add(parent);
        parent.become(tokens);
        return parent;
      }
      const child = free.shift();
      if (!child) return this.#create(parent, tokens);
      child.become(tokens);
      this.host.branch(child, parent);
      return child;
    });
  }

  /** Forgets them all. */
  end(): void {
    for (const branch of this.#all) this.host.end(branch);
  }

  #create(parent: Branch, tokens: readonly number[]): Branch {
    const branch = new Branch(this.#ids.shift() as number, this.promptTokens, this.group, this.first.id, parent);
    branch.become(tokens);
    this.#all.push(branch);
    this.host.add(branch);
    return branch;
  }
}
