/** Σ w[at + i]·x[i] over all of x, in f64. Eight sums side by side: one alone would wait for each addition. */
export function dot(w: Float32Array, at: number, x: Float64Array): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let e = 0;
  let f = 0;
  let g = 0;
  let h = 0;
  const whole = x.length - (x.length % 8);
  let i = 0;
  for (let k = at; i < whole; i += 8, k += 8) {
    a += w[k] * x[i];
    b += w[k + 1] * x[i + 1];
    c += w[k + 2] * x[i + 2];
    d += w[k + 3] * x[i + 3];
    e += w[k + 4] * x[i + 4];
    f += w[k + 5] * x[i + 5];
    g += w[k + 6] * x[i + 6];
    h += w[k + 7] * x[i + 7];
  }
  for (; i < x.length; i++) a += w[at + i] * x[i];
  return a + b + (c + d) + (e + f + (g + h));
}
