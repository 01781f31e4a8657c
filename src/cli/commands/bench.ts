import { Engine } from '../../engine/engine';
import { GREEDY, type Runner } from '../../engine/runner';
import { InvalidOptionError } from '../../errors';
import { countCalls } from '../../gpu/counters';
import { seededRandom } from '../../model/random';
import { Arguments } from '../arguments';
import { openModel } from '../open_model';
import { printJson, printLine, table } from '../output';

/** Tokens at both ends of the decode that are not counted: the pipeline fills and drains there. */
const MARGIN = 4;

/** Prefill and decode speed of a model, with the WebGPU calls per decoded token counted on the API itself. */
export async function benchCommand(argv: readonly string[]): Promise<void> {
  const args = Arguments.parse(argv, { prefill: { type: 'string' }, decode: { type: 'string' } });
  const prefillTokens = args.integer('prefill', 1) ?? 512;
  const decodeTokens = args.integer('decode', 2 * MARGIN + 2) ?? 128;
  const model = await openModel(args);
  try {
    const { contextLength, vocabSize } = model.description;
    if (prefillTokens + decodeTokens > contextLength) {
      throw new InvalidOptionError(
        '--prefill',
        `${prefillTokens} + ${decodeTokens} tokens do not fit the context of ${contextLength}`,
      );
    }
    const counts = model.device ? countCalls(model.device.device) : undefined;
    const timed = timedRunner(model.runner);
    const random = seededRandom(1);
    const prompt = Array.from({ length: prefillTokens }, () => Math.floor(random() * vocabSize));
    // The first run compiles, allocates and warms caches; the second one counts.
    await measure(timed, prompt, 2 * MARGIN + 2, counts);
    const result = await measure(timed, prompt, decodeTokens, counts);
    counts?.restore();

    const prefill = rate(prefillTokens, result.prefillMs);
    const decode = { ...rate(result.tokens, result.decodeMs), perToken: result.perToken };
    const adapter = model.adapter ?? { description: 'reference executor' };
    if (args.json) printJson({ adapter, prefill, decode });
    else {
      printLine(
        table([
          ['', 'tokens', 'ms', 'tokens/s'],
          ['prefill', prefill.tokens, prefill.ms.toFixed(1), prefill.tokensPerSecond.toFixed(1)],
          ['decode', decode.tokens, decode.ms.toFixed(1), decode.tokensPerSecond.toFixed(1)],
        ]),
      );
      printLine('\nper decoded token');
      printLine(table(Object.entries(result.perToken).map(([name, value]) => [`  ${name}`, value.toFixed(3)])));
    }
  } finally {
    model.dispose();
  }
}

function rate(tokens: number, ms: number): { tokens: number; ms: number; tokensPerSecond: number } {
  return { tokens, ms, tokensPerSecond: ms > 0 ? (tokens / ms) * 1000 : 0 };
}

interface TimedRunner {
  readonly runner: Runner;
  /** Milliseconds spent inside of the runner's synchronous part so far. */
  jsMs(): number;
}

function timedRunner(inner: Runner): TimedRunner {
  let total = 0;
  const timed = <T>(work: () => T): T => {
    const start = performance.now();
    try {
      return work();
    } finally {
      total += performance.now() - start;
    }
  };
  return {
    runner: {
      limits: inner.limits,
      openSlot: (slot, init) => inner.openSlot(slot, init),
      run: (batch) => timed(() => inner.run(batch)),
      copyPages: (pairs) => inner.copyPages(pairs),
      dispose: () => inner.dispose(),
    },
    jsMs: () => total,
  };
}

interface Measurement {
  readonly prefillMs: number;
  readonly tokens: number;
  readonly decodeMs: number;
  readonly perToken: Readonly<Record<string, number>>;
}

async function measure(
  timed: TimedRunner,
  prompt: readonly number[],
  decodeTokens: number,
  counts: ReturnType<typeof countCalls> | undefined,
): Promise<Measurement> {
  const engine = new Engine(timed.runner);
  const generation = engine.generate({
    promptTokens: prompt,
    maxTokens: decodeTokens + 1,
    sampling: GREEDY,
    stopTokens: new Set(),
  });
  let token = 0;
  let jsStart = 0;
  let perToken: Record<string, number> = {};
  for await (const _ of generation) {
    token++;
    if (token === MARGIN) {
      counts?.reset();
      jsStart = timed.jsMs();
    }
    if (token === decodeTokens - MARGIN) {
      const steps = decodeTokens - 2 * MARGIN;
      const { dispatches = 0, passes = 0, submits = 0, bindGroups = 0, bufferWrites = 0, maps = 0 } = counts ?? {};
      perToken = {
        dispatches: dispatches / steps,
        passes: passes / steps,
        submits: submits / steps,
        bindGroups: bindGroups / steps,
        bufferWrites: bufferWrites / steps,
        maps: maps / steps,
        jsMs: (timed.jsMs() - jsStart) / steps,
      };
    }
  }
  const { timings } = await generation.finished;
  engine.dispose();
  return { prefillMs: timings.prefillMs, tokens: decodeTokens, decodeMs: timings.decodeMs, perToken };
}
