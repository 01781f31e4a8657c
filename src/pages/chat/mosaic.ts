const TONES = 6;

/** A band of tiles that is laid from left to right as something loads. */
export class Mosaic {
  readonly #tiles: HTMLElement[];
  readonly #band: HTMLElement;

  constructor(band: HTMLElement, columns: number, rows: number) {
    this.#band = band;
    band.classList.add(`rows-${rows}`);
    this.#tiles = Array.from({ length: columns * rows }, (_, i) => {
      const tile = document.createElement('i');
      // A fixed scatter of tones: neighbours differ, and the pattern is the same at every visit.
      tile.className = `tone-${(i * 7 + (i >> 2) * 3 + (i >> 4)) % TONES}`;
      return band.appendChild(tile);
    });
  }

  /** `fraction` of the tiles are laid, 0 … 1. */
  show(fraction: number): void {
    const laid = Math.round(this.#tiles.length * Math.min(1, Math.max(0, fraction)));
    this.#tiles.forEach((tile, i) => tile.classList.toggle('laid', i < laid));
    if (this.#band.role === 'progressbar') this.#band.ariaValueNow = String(Math.round(fraction * 100));
  }
}
