/**
 * GPT-2's reversible map between bytes and printable characters: byte-level BPE stores its vocabulary in these characters. Printable
 * Latin-1 stands for itself, the other 68 bytes for U+0100 onwards, in order.
 */
export const BYTE_TO_CHARACTER: readonly string[] = buildTable();

const CHARACTER_TO_BYTE: ReadonlyMap<string, number> = new Map(
  BYTE_TO_CHARACTER.map((character, byte) => [character, byte]),
);

const encoder = new TextEncoder();

/** The text's UTF-8 bytes, one character each. */
export function toByteLevel(text: string): string {
  let result = '';
  for (const byte of encoder.encode(text)) result += BYTE_TO_CHARACTER[byte];
  return result;
}

/** The bytes behind a token's text. A character outside of the map stands for its own UTF-8 bytes. */
export function fromByteLevel(text: string): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (const character of text) {
    const byte = CHARACTER_TO_BYTE.get(character);
    if (byte === undefined) bytes.push(...encoder.encode(character));
    else bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

function buildTable(): string[] {
  const isPrintable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}
