import { Engine } from '../../../src/engine/engine';
import type { EngineOptions } from '../../../src/engine/engine_options';
import type { GenerateRequest } from '../../../src/engine/generation';
import { GREEDY, type RunnerLimits } from '../../../src/engine/runner';
import { FakeRunner, nextToken } from './fake_runner';

export const LIMITS: RunnerLimits = {
  vocabSize: 31,
  contextLength: 40,
  maxRows: 8,
  maxSampledRows: 3,
  maxSlots: 2,
  pageSize: 4,
  numPages: 10,
};

export const PROMPT: readonly number[] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5];

/** An engine on a toy model, which is lost after `loseAfter` steps. */
export function setup(options: EngineOptions = {}, limits: Partial<RunnerLimits> = {}, loseAfter?: number) {
  const runner = new FakeRunner({ ...LIMITS, ...limits }, () => 1, loseAfter);
  return { runner, engine: new Engine(runner, options) };
}

export function request(promptTokens: readonly number[], more: Partial<GenerateRequest> = {}): GenerateRequest {
  return { promptTokens, maxTokens: 10, sampling: GREEDY, stopTokens: new Set(), ...more };
}

/** What the toy model says to a prompt. */
export function expected(prompt: readonly number[], count: number): number[] {
  const tokens = [...prompt];
  while (tokens.length < prompt.length + count) tokens.push(nextToken(tokens, 0, LIMITS.vocabSize));
  return tokens.slice(prompt.length);
}

/** Turns of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
