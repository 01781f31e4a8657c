import { throwIfAborted } from '../../errors';
import { type Spread, spreadOf } from './statistics';

export interface RepeatOptions {
  readonly repetitions: number;
  readonly maxSeconds: number;
  readonly signal?: AbortSignal;
}

/**
 * Runs a measurement once to warm up, then as often as asked for and as the time allows, at least once more; only where the first run
 * alone has used up the time, it is what counts. `run` returns milliseconds. Rejects with AbortedError, or what `run` rejects with.
 */
export async function repeat(run: () => Promise<number>, options: RepeatOptions): Promise<Spread> {
  const { repetitions, maxSeconds, signal } = options;
  const start = performance.now();
  const elapsed = (): number => (performance.now() - start) / 1000;
  throwIfAborted(signal);
  const warmUp = await run();
  const times: number[] = [];
  while (times.length < repetitions && elapsed() * (1 + 1 / (times.length + 1)) < maxSeconds) {
    throwIfAborted(signal);
    times.push(await run());
  }
  return spreadOf(times.length > 0 ? times : [warmUp]);
}
