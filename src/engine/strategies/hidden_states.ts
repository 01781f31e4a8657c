/** Vectors of a sequence's positions, kept at length 1 to be compared by their angle. */
export class HiddenStates {
  #vectors = new Float32Array(0);
  #dimension = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Positions come in order; one that came before may come again. */
  set(position: number, vector: Float32Array): void {
    this.#dimension = vector.length;
    const end = (position + 1) * vector.length;
    if (end > this.#vectors.length) {
      const grown = new Float32Array(Math.max(end, 2 * this.#vectors.length));
      grown.set(this.#vectors);
      this.#vectors = grown;
    }
    const norm = normOf(vector);
    for (let i = 0; i < vector.length; i++) this.#vectors[end - vector.length + i] = vector[i] / norm;
    this.#length = Math.max(this.#length, position + 1);
  }

  /** The cosine of the smallest angle between the vector and any position's. */
  largestCosine(vector: Float32Array): number {
    const size = this.#dimension;
    let largest = Number.NEGATIVE_INFINITY;
    for (let position = 0; position < this.#length; position++) {
      const first = position * size;
      let sum = 0;
      for (let i = 0; i < size; i++) sum += this.#vectors[first + i] * vector[i];
      if (sum > largest) largest = sum;
    }
    return largest / normOf(vector);
  }
}

function normOf(vector: Float32Array): number {
  let sum = 0;
  for (const value of vector) sum += value * value;
  return Math.sqrt(sum);
}
