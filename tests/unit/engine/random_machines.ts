import { expect } from 'vitest';
import type { Engine } from '../../../src/engine/engine';
import type { EngineOptions } from '../../../src/engine/engine_options';
import type { RunnerLimits } from '../../../src/engine/runner';
import { seededRandom } from './fake_runner';
import { expected, PROMPT, request, setup, turns } from './toy_engine';

interface Draw {
  readonly random: () => number;
  /** From `low` to `high`, both included. */
  readonly int: (low: number, high: number) => number;
}

interface Machine extends Draw {
  readonly engine: Engine;
  /** Tokens that fit behind PROMPT. */
  readonly room: number;
  /** For messages. */
  readonly name: string;
}

interface Schedules {
  readonly count: number;
  /** Beside the context, the pages' size and `maxRepeat`. */
  readonly limits: (
    draw: Draw,
    common: { readonly contextLength: number; readonly pageSize: number },
  ) => Partial<RunnerLimits>;
  readonly options?: (draw: Draw) => EngineOptions;
  /** Searches of one machine. */
  readonly searches: (draw: Draw) => number;
  /** Begins one and says when it was found to be right. */
  readonly search: (machine: Machine) => Promise<void>;
}

/** Searches between ordinary requests on machines of any size, some of which are lost; integrity is checked after every step. */
export async function onRandomMachines({ count, limits, options, searches, search }: Schedules) {
  const seen = { preempted: 0, lost: 0, swapped: 0 };
  for (let seed = 1; seed <= count; seed++) {
    const random = seededRandom(seed);
    const int = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1));
    const draw = { random, int };
    const common = { contextLength: int(16, 40), pageSize: int(1, 6), maxRepeat: int(1, 4) };
    const size = { ...common, ...limits(draw, common) };
    const { engine } = setup(
      {
        maxStepsInFlight: int(1, 3),
        maxUnread: int(1, 70),
        prefixCache: random() < 0.8,
        ...options?.(draw),
        onStep: () => engine.checkIntegrity(),
        recover: async () => {
          seen.lost++;
          return setup({}, size).runner;
        },
      },
      size,
      random() < 0.3 ? int(0, 20) : undefined,
    );
    const name = `schedule ${seed}`;
    const room = common.contextLength - PROMPT.length;
    const jobs: Promise<void>[] = [];
    for (let i = searches(draw); i > 0; i--) {
      jobs.push(search({ ...draw, engine, room, name }));
      if (random() < 0.5) await turns(int(0, 6));
      const tokens = PROMPT.slice(0, int(1, PROMPT.length));
      const maxTokens = int(1, room);
      const plain = engine.generate(request(tokens, { maxTokens })).drain();
      jobs.push(plain.then(({ outputTokens }) => expect(outputTokens, name).toEqual(expected(tokens, maxTokens))));
    }
    await Promise.all(jobs);
    await turns(8);
    engine.checkIntegrity();
    expect(engine.pagesInUse).toBe(0);
    seen.preempted += engine.metrics.preemptions;
    seen.swapped += engine.metrics.swapped.in;
  }
  return seen;
}
