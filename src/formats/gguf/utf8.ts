/** From this length on the platform's decoder is faster than the loop below, in spite of the call. */
const LONG = 96;

const units = new Uint16Array(LONG);
const platform = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The text of bytes [start, end): strict UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF); undefined when the bytes are not.
 * Vocabularies hold some 100 000 strings of a few bytes each, for which a TextDecoder call costs more than the decoding.
 */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (end - start >= LONG) {
    try {
      return platform.decode(bytes.subarray(start, end));
    } catch {
      return undefined;
    }
  }
  if (start === end) return '';
  let length = 0;
  let at = start;
  while (at < end) {
    const lead = bytes[at++];
    if (lead < 0x80) {
      units[length++] = lead;
      continue;
    }
    const extra = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    if (lead < 0xc2 || lead > 0xf4 || at + extra > end) return undefined;
    let code = lead & (0x3f >> extra);
    for (let i = 0; i < extra; i++) {
      const next = bytes[at++];
      if ((next & 0xc0) !== 0x80) return undefined;
      code = (code << 6) | (next & 0x3f);
    }
    if (extra === 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) return undefined;
    if (extra === 3 && (code < 0x10000 || code > 0x10ffff)) return undefined;
    if (code < 0x10000) units[length++] = code;
    else {
      units[length++] = 0xd7c0 + (code >>> 10);
      units[length++] = 0xdc00 | (code & 0x3ff);
    }
  }
  return String.fromCharCode.apply(null, units.subarray(0, length) as unknown as number[]);
}
