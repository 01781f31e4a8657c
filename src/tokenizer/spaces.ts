/** What SentencePiece writes for a space. */
export const SPACE = '\u2581';

export function byteTokenText(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}

/** The byte that a token such as "<0x0A>" stands for. */
export function byteOfToken(text: string): number | undefined {
  const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(text)?.[1];
  return byte === undefined ? undefined : Number.parseInt(byte, 16);
}

/** Ids of the tokens of single bytes. */
export function byteTokens(ids: ReadonlyMap<string, number>): readonly (number | undefined)[] {
  return Array.from({ length: 256 }, (_, byte) => ids.get(byteTokenText(byte)));
}

/** Cuts before each run of spaces: for vocabularies where nothing goes over such a place. */
export function splitAtSpaces(text: string): readonly string[] {
  return text.match(/\u2581+[^\u2581]*|[^\u2581]+/gu) ?? [];
}

/** The bytes behind a SentencePiece token. */
export function fromSentencePiece(text: string): Uint8Array<ArrayBuffer> {
  const byte = byteOfToken(text);
  return byte === undefined ? new TextEncoder().encode(text.replaceAll(SPACE, ' ')) : Uint8Array.of(byte);
}
