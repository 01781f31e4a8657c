import { throwIfAborted } from '../../errors';
import { type Spread, spreadOf } from './statistics';

export interface RepeatOptions {
  readonly repetitions: number;
  readonly maxSeconds: number;
  readonly signal?: AbortSignal;
}

/** A run to warm up may compile shaders, for many seconds on a software adapter; beyond this many budgets it is what counts. */
const PATIENCE = 4;

/**
 * Runs a measurement once to warm up, then as often as asked for and as the time allows, but at least once more; where the first run
 * took out of all proportion, it alone is what counts. `run` returns milliseconds. Rejects with AbortedError, or what `run` rejects with.
 */
export async function repeat(run: () => Promise<number>, options: RepeatOptions): Promise<Spread> {
  const { repetitions, maxSeconds, signal } = options;
  const now = (): number => performance.now() / 1000;
  throwIfAborted(signal);
  const begin = now();
  const warmUp = await run();
  if (now() - begin > PATIENCE * maxSeconds) return spreadOf([warmUp]);
  const times: number[] = [];
  const start = now();
  while (times.length < repetitions) {
    const elapsed = now() - start;
    if (times.length > 0 && elapsed + elapsed / times.length > maxSeconds) break;
    throwIfAborted(signal);
    times.push(await run());
  }
  return spreadOf(times);
}
