/** MXFP4 (OCP Microscaling 2023) as ggml stores it: blocks of 32 values, an exponent byte and 16 bytes with values j and j + 16. */

const TYPE = 39;
const MAGNITUDES = [0, 1, 2, 3, 4, 6, 8, 12];

/** A tensor of random codes with values of about `deviation`, and the same as F32. */
export function randomMxfp4(shape, deviation, random) {
  const blocks = shape.reduce((product, size) => product * size, 1) / 32;
  const bytes = new Uint8Array(blocks * 17);
  const values = new Float32Array(blocks * 32);
  // Codes drawn uniformly have a deviation of 5.85 units of 2^(exponent − 128).
  const middle = Math.round(Math.log2(deviation / 5.85)) + 128;
  for (let block = 0; block < blocks; block++) {
    const exponent = middle + Math.floor(random() * 3) - 1;
    bytes[block * 17] = exponent;
    for (let i = 0; i < 32; i++) {
      const code = Math.floor(random() * 16);
      bytes[block * 17 + 1 + (i % 16)] |= code << (i < 16 ? 0 : 4);
      values[block * 32 + i] = MAGNITUDES[code % 8] * 2 ** (exponent - 128) * (code < 8 ? 1 : -1);
    }
  }
  return { encoded: { shape, data: bytes, type: TYPE }, decoded: { shape, data: values } };
}
