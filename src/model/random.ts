export { seededRandom } from '../engine/seeded_random';

/** Standard normal values (Box & Muller 1958). */
export function normals(count: number, random: () => number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    out[i] = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  }
  return out;
}
