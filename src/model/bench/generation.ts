import { Engine } from '../../engine/engine';
import { GREEDY, type Runner } from '../../engine/runner';
import { countCalls } from '../../gpu/counters';

/** Tokens at both ends of the decode that are not counted: the pipeline fills and drains there. */
const MARGIN = 4;
/** The shortest generation of which anything is left to count. */
export const FEWEST_TOKENS = 2 * MARGIN + 4;

export interface GenerationSpeed {
  readonly prefillMs: number;
  /** From the first token to the last. */
  readonly decodeMs: number;
  /** JavaScript per decoded token; see `JsClock`. */
  readonly jsMs: number;
}

/** Per decoded token. */
export interface CallsPerToken {
  readonly dispatches: number;
  readonly passes: number;
  readonly submits: number;
  readonly bindGroups: number;
  readonly buffers: number;
  readonly bufferWrites: number;
  readonly maps: number;
}

/** The prompt alone, up to its first token, in milliseconds. */
export async function measureFirstToken(runner: Runner, prompt: readonly number[]): Promise<number> {
  const start = performance.now();
  await generate(runner, prompt, 0, () => {});
  return performance.now() - start;
}

/** Generates `decodeTokens` tokens after the first one, greedily, and times it. */
export async function measureGeneration(
  runner: Runner,
  prompt: readonly number[],
  decodeTokens: number,
): Promise<GenerationSpeed> {
  const clock = new JsClock();
  let jsMs = 0;
  let before = 0;
  try {
    const { prefillMs, decodeMs } = await generate(runner, prompt, decodeTokens, (token) => {
      if (token === MARGIN) before = clock.ms;
      if (token === decodeTokens - MARGIN) jsMs = (clock.ms - before) / (decodeTokens - 2 * MARGIN);
    });
    return { prefillMs, decodeMs, jsMs };
  } finally {
    clock.stop();
  }
}

/** A runner that also counts the steps that it is given, a batch that is repeated as often as it is. */
function countSteps(runner: Runner): { readonly runner: Runner; readonly count: () => number } {
  let steps = 0;
  const counting: Runner = {
    limits: runner.limits,
    openSlot: (slot, init) => runner.openSlot(slot, init),
    run(batch) {
      steps += batch.repeat ?? 1;
      return runner.run(batch);
    },
    ready: (rows, features) => runner.ready?.(rows, features),
    copyPages: (pairs, group) => runner.copyPages(pairs, group),
    dispose: () => runner.dispose(),
  };
  return { runner: counting, count: () => steps };
}

/** WebGPU calls per decoded token, counted on the API itself in the middle of a greedy generation; undefined when that was over in one submit. */
export async function countGeneration(
  runner: Runner,
  device: GPUDevice,
  prompt: readonly number[],
  decodeTokens: number,
): Promise<CallsPerToken | undefined> {
  const counts = countCalls(device);
  const counted = countSteps(runner);
  let before = 0;
  let perToken: CallsPerToken | undefined;
  try {
    await generate(counted.runner, prompt, decodeTokens, (token) => {
      if (token === MARGIN) {
        counts.reset();
        before = counted.count();
      }
      if (token !== decodeTokens - MARGIN) return;
      // What was submitted in the meantime: a few tokens more or less than were delivered.
      const steps = counted.count() - before;
      if (steps === 0) return;
      perToken = {
        dispatches: counts.dispatches / steps,
        passes: counts.passes / steps,
        submits: counts.submits / steps,
        bindGroups: counts.bindGroups / steps,
        buffers: counts.buffers / steps,
        bufferWrites: counts.bufferWrites / steps,
        maps: counts.maps / steps,
      };
    });
  } finally {
    counts.restore();
  }
  return perToken;
}

async function generate(
  runner: Runner,
  prompt: readonly number[],
  decodeTokens: number,
  onToken: (token: number) => void,
): Promise<{ readonly prefillMs: number; readonly decodeMs: number }> {
  const engine = new Engine(runner);
  try {
    const generation = engine.generate({
      promptTokens: prompt,
      maxTokens: decodeTokens + 1,
      sampling: GREEDY,
      stopTokens: new Set(),
    });
    let token = 0;
    for await (const _ of generation) onToken(++token);
    return (await generation.finished).timings;
  } finally {
    engine.dispose();
  }
}

/**
 * Time that JavaScript takes, with the WebGPU calls that it makes: from the moment a readback arrives until everything that follows
 * from it has run (samples accepted, token delivered, next step encoded and submitted). What is left out is waiting alone: between
 * those moments nothing runs but Dawn's polling.
 */
class JsClock {
  ms = 0;
  readonly #mapAsync: GPUBuffer['mapAsync'] | undefined;
  #running = false;

  constructor() {
    // Without WebGPU there is nothing to wait for.
    if (!('GPUBuffer' in globalThis)) return;
    const original = Reflect.get(GPUBuffer.prototype, 'mapAsync') as GPUBuffer['mapAsync'];
    this.#mapAsync = original;
    const arrived = (): void => this.#arrived();
    GPUBuffer.prototype.mapAsync = function (this: GPUBuffer, ...args) {
      const mapped = original.apply(this, args);
      // Asked for before the caller can: it runs first when the mapping arrives.
      mapped.then(arrived, () => undefined);
      return mapped;
    };
  }

  stop(): void {
    if (this.#mapAsync) GPUBuffer.prototype.mapAsync = this.#mapAsync;
  }

  #arrived(): void {
    if (this.#running) return;
    this.#running = true;
    const start = performance.now();
    afterPromises(() => {
      this.ms += performance.now() - start;
      this.#running = false;
    });
  }
}

/** Calls back when no promise has anything left to do. */
function afterPromises(callback: () => void): void {
  if ('process' in globalThis) {
    process.nextTick(callback);
    return;
  }
  const { port1, port2 } = new MessageChannel();
  port1.addEventListener('message', () => {
    port1.close();
    callback();
  });
  port1.start();
  port2.postMessage(undefined);
}
