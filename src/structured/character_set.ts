/**
 * Sets of characters as grammar expressions over the bytes of UTF-8. XGrammar cuts what is not ASCII in a class down to the lowest byte,
 * so a class is good for bytes, and only for them: characters are spelled as sequences of such classes.
 */

/** Code points from the first to the last. */
export type CodeRange = readonly [first: number, last: number];

/** The last character that there is. */
export const LAST_CODE = 0x10ffff;

const SURROGATES: CodeRange = [0xd800, 0xdfff];
/** Where UTF-8 becomes a byte longer: the last characters of 1, 2, 3 and 4 bytes. */
const LENGTHS = [0x7f, 0x7ff, 0xffff, LAST_CODE];

/** One character of a set; undefined when there is none. Halves of surrogate pairs are no characters. */
export function characterSet(ranges: readonly CodeRange[]): string | undefined {
  const union = complement([...complement(ranges), SURROGATES]);
  const ascii = union.flatMap(([first, last]) => (first <= 0x7f ? [classPart(first, Math.min(last, 0x7f))] : []));
  const longer = LENGTHS.slice(1).flatMap((end, i) =>
    union.flatMap(([first, last]) => {
      const [from, to] = [Math.max(first, LENGTHS[i] + 1), Math.min(last, end)];
      return from <= to ? sequences(from, to, i + 1) : [];
    }),
  );
  const found = [...(ascii.length > 0 ? [`[${ascii.join('')}]`] : []), ...longer];
  if (found.length === 0) return undefined;
  return found.length === 1 && longer.length === 0 ? found[0] : `(${found.join(' | ')})`;
}

/** All characters that are in none of the ranges, in order and apart from each other. */
export function complement(ranges: readonly CodeRange[]): CodeRange[] {
  const found: CodeRange[] = [];
  let from = 0;
  for (const [first, last] of ranges.toSorted((a, b) => a[0] - b[0])) {
    if (first > from) found.push([from, first - 1]);
    from = Math.max(from, last + 1);
  }
  if (from <= LAST_CODE) found.push([from, LAST_CODE]);
  return found;
}

/** The characters from one to another, which have `more` bytes behind the first: each sequence of byte ranges is a box of them. */
function sequences(first: number, last: number, more: number): string[] {
  for (let i = 1; i <= more; i++) {
    const tail = 2 ** (6 * i) - 1;
    if (Math.floor(first / (tail + 1)) === Math.floor(last / (tail + 1))) continue;
    if ((first & tail) !== 0)
      return [...sequences(first, first | tail, more), ...sequences((first | tail) + 1, last, more)];
    if ((last & tail) !== tail) {
      const start = last - (last & tail);
      return [...sequences(first, start - 1, more), ...sequences(start, last, more)];
    }
  }
  const [low, high] = [first, last].map((code) => new TextEncoder().encode(String.fromCodePoint(code)));
  return [Array.from(low, (byte, i) => `[${classPart(byte, high[i], true)}]`).join(' ')];
}

/** `byte`: kept from being taken for the character of that code, which a class of one character is. */
function classPart(first: number, last: number, byte = false): string {
  const [a, b] = [first, last].map((code) => `\\u${code.toString(16).padStart(4, '0')}`);
  if (first === last) return byte ? `${a}${a}` : a;
  return `${a}-${b}`;
}
