import { InvalidFileError } from '../errors';

/** Times that normalisation may lengthen a text; the longest decomposition of a character has 18. */
const FACTOR = 32;
const ALLOWANCE = 65_536;

/**
 * A file may say that every letter becomes a page.
 * @throws InvalidFileError when `length` is far more than what a text of `original` units can become.
 */
export function checkGrowth(length: number, original: number, where: string): void {
  if (length <= FACTOR * original + ALLOWANCE) return;
  throw new InvalidFileError(`${where}: makes ${length} characters or more of a text of ${original}`, {
    details: { where },
  });
}
