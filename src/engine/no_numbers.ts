import { KernelError } from '../errors';

/** What a request ends with when the model's results mean nothing. */
export function noNumbers(what: string): KernelError {
  return new KernelError(
    `${what}. Weights may be damaged, or this GPU computes something else than it should, which the self-test would tell`,
  );
}
