/** Grammars of decimal numbers between two bounds, written as sequences of digit classes. */

/** Digits before the point, and behind it, at most: what a double holds exactly, and an end to every number. */
export const MAX_DIGITS = 15;

export interface Bound {
  readonly value: number;
  readonly exclusive: boolean;
}

/** A digit between two others. */
type DigitClass = readonly [low: number, high: number];
type Digits = readonly DigitClass[];

const ANY: DigitClass = [0, 9];
const LIMIT = 10n ** BigInt(MAX_DIGITS);

/** An EBNF expression of the integers from `low` to `high`, undefined: without that bound. Undefined when there are none. */
export function integerRange(low: Bound | undefined, high: Bound | undefined): string | undefined {
  return alternatives(fixed(low, high, 0));
}

/** The same of numbers with a fraction, which are never written with an exponent. */
export function numberRange(low: Bound | undefined, high: Bound | undefined): string | undefined {
  const places = Math.max(fractionDigits(low), fractionDigits(high));
  const positive = side(low, high, places);
  const negative = side(mirror(high), mirror(low), places).map((each) => `"-" ${each}`);
  // Those with fewer decimal places than the bounds.
  const shorter = Array.from({ length: places }, (_, fewer) => fixed(low, high, fewer)).flat();
  return alternatives([...positive, ...negative, ...shorter]);
}

/** Numbers between the bounds with so many decimal places, as expressions. */
function fixed(low: Bound | undefined, high: Bound | undefined, places: number): string[] {
  const limit = LIMIT * 10n ** BigInt(places) - 1n;
  const from = low ? -downTo(mirror(low) as Bound, places) : -limit;
  const to = high ? downTo(high, places) : limit;
  const spelled = (first: bigint, last: bigint): string[] =>
    magnitudes(first, last, places).map((digits) => spell(digits, places));
  const negative = spelled(to < 0n ? -to : 1n, -from).map((each) => `"-" ${each}`);
  return [...spelled(from > 0n ? from : 0n, to), ...negative];
}

/** The largest number of so many decimal places that is not above a bound, without its point. */
function downTo(bound: Bound, places: number): bigint {
  const digits = Math.max(places, fractionDigits(bound));
  const value = scaled(bound.value, digits);
  const step = 10n ** BigInt(digits - places);
  const rest = ((value % step) + step) % step;
  const floor = (value - rest) / step;
  return bound.exclusive && rest === 0n ? floor - 1n : floor;
}

/** Decimal places of a bound; Infinity when it has too many to be told apart. */
export function fractionDigits(bound: Bound | undefined): number {
  if (!bound) return 0;
  const [, fraction = '', exponent] = /^-?\d+(?:\.(\d+))?(e.*)?$/.exec(String(bound.value)) ?? [];
  return exponent === undefined ? fraction.length : Number.POSITIVE_INFINITY;
}

/** Numbers of at least 0 between the bounds, as expressions. */
function side(low: Bound | undefined, high: Bound | undefined, places: number): string[] {
  const scale = 10n ** BigInt(places);
  // Below 0 there is nothing here, and 0 itself belongs to this side.
  const from = low && low.value >= 0 ? scaled(low.value, places) : 0n;
  const to = high ? scaled(high.value, places) : LIMIT * scale;
  const opened = low?.exclusive === true && low.value >= 0;
  if (to < 0n || from > to) return [];
  const more = places === 0 ? `("." [0-9]{1,${MAX_DIGITS}})?` : `[0-9]{0,${MAX_DIGITS - places}}`;
  const point = places === 0 ? '"." ' : '';
  const found = magnitudes(opened ? from + 1n : from, to - 1n, places).map(
    (digits) => `${spell(digits, places)} ${more}`,
  );
  // The lower bound itself is out, everything a little above it is in.
  if (opened && from < to) {
    found.push(...magnitudes(from, from, places).map((digits) => `${spell(digits, places)} ${point}[0-9]{0,5} [1-9]`));
  }
  const closed = high?.exclusive !== true && !(opened && from === to);
  if (closed && high) found.push(...magnitudes(to, to, places).map((digits) => spell(digits, places)));
  return found;
}

function mirror(bound: Bound | undefined): Bound | undefined {
  return bound && { value: -bound.value, exclusive: bound.exclusive };
}

function scaled(value: number, places: number): bigint {
  const [whole, fraction = ''] = Math.abs(value).toFixed(places).split('.');
  const magnitude = BigInt(whole + fraction);
  return value < 0 ? -magnitude : magnitude;
}

/** The integers from `from` to `to`, both of at least 0, with at least one digit more than there are places. */
function magnitudes(from: bigint, to: bigint, places: number): Digits[] {
  if (from > to) return [];
  const found: Digits[] = [];
  for (let length = places + 1; length <= places + MAX_DIGITS; length++) {
    const smallest = length === places + 1 ? 0n : 10n ** BigInt(length - 1);
    const low = from > smallest ? from : smallest;
    const largest = 10n ** BigInt(length) - 1n;
    const high = to < largest ? to : largest;
    if (low <= high) found.push(...between(padded(low, length), padded(high, length)));
  }
  return found;
}

function padded(value: bigint, length: number): number[] {
  return Array.from(value.toString().padStart(length, '0'), Number);
}

/** Numbers of the same length from `low` to `high`. */
function between(low: readonly number[], high: readonly number[]): Digits[] {
  if (low.length === 0) return [[]];
  const [a, b] = [low[0], high[0]];
  const [restLow, restHigh] = [low.slice(1), high.slice(1)];
  if (restLow.every((digit) => digit === 0) && restHigh.every((digit) => digit === 9)) {
    return [[[a, b], ...restLow.map(() => ANY)]];
  }
  if (a === b) return between(restLow, restHigh).map((rest) => [[a, a], ...rest]);
  const found = between(
    restLow,
    restLow.map(() => 9),
  ).map((rest): Digits => [[a, a], ...rest]);
  if (a + 1 < b) found.push([[a + 1, b - 1], ...restLow.map(() => ANY)]);
  return [
    ...found,
    ...between(
      restHigh.map(() => 0),
      restHigh,
    ).map((rest): Digits => [[b, b], ...rest]),
  ];
}

function spell(digits: Digits, places = 0): string {
  const classes = digits.map(([low, high]) => (low === high ? `"${low}"` : `[${low}-${high}]`));
  if (places > 0) classes.splice(classes.length - places, 0, '"."');
  return classes.join(' ');
}

function alternatives(found: readonly string[]): string | undefined {
  return found.length === 0 ? undefined : `(${found.join(' | ')})`;
}
