/**
 * 128 bits in hex that tell contents apart that were not made to collide: four FNV-1a lanes with different bases (Fowler, Noll, Vo),
 * each over every byte, and every part's length.
 */
export function fingerprint(parts: readonly Uint8Array[]): string {
  const lanes = Uint32Array.of(0x811c9dc5, 0x9e3779b9, 0x85ebca6b, 0xc2b2ae35);
  const add = (byte: number): void => {
    for (let lane = 0; lane < lanes.length; lane++) {
      const mixed = Math.imul(lanes[lane] ^ (byte + lane), 0x01000193);
      lanes[lane] = mixed ^ (mixed >>> 15);
    }
  };
  for (const part of parts) {
    for (let shift = 0; shift < 32; shift += 8) add((part.length >>> shift) & 0xff);
    for (const byte of part) add(byte);
  }
  return [...lanes].map((lane) => lane.toString(16).padStart(8, '0')).join('');
}
