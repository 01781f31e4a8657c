import { InternalError } from '../errors';

/**
 * The runner's slots. A slot that is released goes to its next user only after the steps that name it have settled: until
 * then its last token and penalty counts may still be written.
 */
export class SlotPool {
  readonly #free: number[];
  readonly #steps: Uint32Array;
  readonly #taken = new Set<number>();

  constructor(readonly maxSlots: number) {
    this.#free = Array.from({ length: maxSlots }, (_, i) => maxSlots - 1 - i);
    this.#steps = new Uint32Array(maxSlots);
  }

  get available(): boolean {
    return this.#free.length > 0;
  }

  take(): number {
    const slot = this.#free.pop();
    if (slot === undefined) throw new InternalError(`all ${this.maxSlots} slots are in use`);
    this.#taken.add(slot);
    return slot;
  }

  release(slot: number): void {
    if (!this.#taken.delete(slot)) throw new InternalError(`slot ${slot} was released twice`);
    if (this.#steps[slot] === 0) this.#free.push(slot);
  }

  /** A step that names the slot is submitted. */
  beginStep(slot: number): void {
    this.#steps[slot]++;
  }

  /** A step that names the slot has settled. */
  endStep(slot: number): void {
    if (this.#steps[slot] === 0) throw new InternalError(`slot ${slot} has no step in flight`);
    if (--this.#steps[slot] === 0 && !this.#taken.has(slot)) this.#free.push(slot);
  }

  /** Throws InternalError when a slot is neither taken, nor free, nor waiting for its steps. */
  checkIntegrity(): void {
    const free = new Set(this.#free);
    for (let slot = 0; slot < this.maxSlots; slot++) {
      const busy = this.#taken.has(slot) || this.#steps[slot] > 0;
      if (free.has(slot) === busy) throw new InternalError(`slot ${slot} is ${busy ? 'busy and free' : 'lost'}`);
    }
  }
}
