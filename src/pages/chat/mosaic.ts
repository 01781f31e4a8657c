import { el } from './dom';

const TONES = 6;

/** A tone for each tile, column by column: an even scatter where no neighbours match, the same at every visit. */
function scatter(count: number, rows: number): number[] {
  const tones: number[] = [];
  let state = 7;
  for (let i = 0; i < count; i++) {
    state = (state * 75 + 74) % 65537; // A small congruential generator is random enough for tiles.
    const above = i % rows > 0 ? tones[i - 1] : undefined;
    const free = Array.from({ length: TONES }, (_, tone) => tone).filter(
      (tone) => tone !== above && tone !== tones[i - rows],
    );
    tones.push(free[state % free.length]);
  }
  return tones;
}

/** A band of tiles that is laid from left to right as something loads. */
export class Mosaic {
  readonly #tiles: HTMLElement[];
  readonly #band: HTMLElement;

  constructor(band: HTMLElement, columns: number, rows: number) {
    this.#band = band;
    band.classList.add(`rows-${rows}`);
    this.#tiles = scatter(columns * rows, rows).map((tone) => band.appendChild(el('i', { class: `tone-${tone}` })));
  }

  /** `fraction` of the tiles are laid, 0 … 1; `busy`: they glimmer, for work whose length nobody knows. */
  show(fraction: number, busy = false): void {
    this.#band.classList.toggle('busy', busy);
    const laid = Math.round(this.#tiles.length * Math.min(1, Math.max(0, fraction)));
    this.#tiles.forEach((tile, i) => tile.classList.toggle('laid', i < laid));
    if (this.#band.role === 'progressbar') this.#band.ariaValueNow = String(Math.round(fraction * 100));
  }
}
