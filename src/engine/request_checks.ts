/** What is wrong with a request before any of it runs. */
import { ContextLengthError, InvalidOptionError } from '../errors';
import type { TokenConstraint } from './constraint';
import type { OverflowSettings } from './context_overflow';
import type { DolaLayers } from './dola';
import type { DryBreakers } from './dry';
import { expectPurpose, type Purpose } from './purpose';
import type { RunnerLimits, SamplingSettings } from './runner';
import { usesDry } from './sampler_chain';

/** Of a request's priority, in either direction. */
export const MAX_PRIORITY = 100;

/** Throws InvalidOptionError for a prompt that is none, UnsupportedModelError where the model does not give what is `wanted`. */
export function checkPrompt(promptTokens: readonly number[], wanted: Purpose, limits: RunnerLimits): void {
  if (promptTokens.length === 0) throw new InvalidOptionError('promptTokens', 'the prompt is empty');
  expectPurpose(limits, wanted);
  const { vocabSize } = limits;
  promptTokens.forEach((token, i) => {
    if (!Number.isSafeInteger(token) || token < 0 || token >= vocabSize) {
      throw new InvalidOptionError('promptTokens', `${token} at ${i} is not a token of a vocabulary of ${vocabSize}`);
    }
  });
}

/**
 * Output tokens that the context has room for, any number where the request may outgrow it. Throws InvalidOptionError, and
 * ContextLengthError when there is none.
 */
export function checkRequest(
  request: {
    readonly promptTokens: readonly number[];
    readonly maxTokens: number;
    readonly priority?: number;
    readonly sampling: SamplingSettings;
    readonly dryBreakers?: DryBreakers;
    readonly contextOverflow?: OverflowSettings;
    readonly dola?: DolaLayers;
    readonly constraint?: TokenConstraint;
  },
  contextLength: number,
): number {
  const { promptTokens, maxTokens, priority = 0 } = request;
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 1) {
    throw new InvalidOptionError('maxTokens', `${maxTokens} is not a positive integer`);
  }
  if (!Number.isSafeInteger(priority) || Math.abs(priority) > MAX_PRIORITY) {
    throw new InvalidOptionError('priority', `${priority} is not an integer from -${MAX_PRIORITY} to ${MAX_PRIORITY}`);
  }
  const { sampling, dryBreakers } = request;
  if (usesDry(sampling) && sampling.drySequenceBreakers.length > 0 && !dryBreakers) {
    throw new InvalidOptionError(
      'dry_sequence_breakers',
      'are given as text alone: a tokenizer has to look up their tokens',
    );
  }
  if (request.constraint && request.dola) {
    throw new InvalidOptionError(
      'response_format',
      'does not go with dola_layers, which leave few tokens to choose among',
    );
  }
  if (request.contextOverflow) return Number.MAX_SAFE_INTEGER;
  const maxOutput = contextLength - promptTokens.length;
  if (maxOutput < 1) throw new ContextLengthError(promptTokens.length, contextLength);
  return maxOutput;
}
