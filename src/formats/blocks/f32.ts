import type { EncodableFormat } from './block_format';

export const f32: EncodableFormat = {
  blockSize: 1,
  blockBytes: 4,

  decode(bytes, blocks, out) {
    // Bytes, not numbers: a NaN keeps its bits.
    new Uint8Array(out.buffer, out.byteOffset, 4 * blocks).set(bytes.subarray(0, 4 * blocks));
  },

  encode(values, blocks, out) {
    out.set(new Uint8Array(values.buffer, values.byteOffset, 4 * blocks));
  },

  random(bytes, blocks, random) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let i = 0; i < blocks; i++) view.setFloat32(4 * i, 2 * random() - 1, true);
  },
};
