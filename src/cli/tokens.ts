import { InvalidOptionError } from '../errors';

/** The token ids of `--tokens 1,2,3`. Throws InvalidOptionError naming the part that is none. */
export function parseTokens(text: string | undefined): number[] {
  if (text === undefined) throw new InvalidOptionError('--tokens', 'a list of token ids is missing, for example 1,2,3');
  return text.split(',').map((part) => {
    const token = Number(part);
    if (part.trim() === '' || !Number.isSafeInteger(token) || token < 0) {
      throw new InvalidOptionError('--tokens', `"${part}" is not a token id`);
    }
    return token;
  });
}
