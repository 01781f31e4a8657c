import { Engine } from '../../engine/engine';
import { GREEDY } from '../../engine/runner';
import { InvalidOptionError } from '../../errors';
import { Arguments } from '../arguments';
import { openModel } from '../open_model';
import { printJson, printLine } from '../output';
import { parseTokens } from '../tokens';

interface Position {
  readonly position: number;
  /** Token and log-probability of the best next tokens, best first. */
  readonly top: readonly (readonly [token: number, logprob: number])[];
}

/** Log-probabilities of the next token after every token of a prompt, and the greedy continuation. */
export async function logitsCommand(argv: readonly string[]): Promise<void> {
  const args = Arguments.parse(argv, {
    tokens: { type: 'string' },
    top: { type: 'string' },
    greedy: { type: 'string' },
  });
  args.model();
  const tokens = parseTokens(args.text('tokens'));
  const top = args.integer('top', 1) ?? 10;
  const greedyCount = args.integer('greedy', 0) ?? 0;

  const model = await openModel(args);
  try {
    const { vocabSize } = model.description;
    const unknown = tokens.find((token) => token >= vocabSize);
    if (unknown !== undefined) {
      throw new InvalidOptionError('--tokens', `${unknown} is outside of the vocabulary of ${vocabSize} tokens`);
    }
    const engine = new Engine(model.runner);
    const positions: Position[] = [];
    await engine.score({
      promptTokens: tokens,
      onLogits: (position, logits) => positions.push({ position, top: bestTokens(logits, Math.min(top, vocabSize)) }),
    });
    const greedy = greedyCount > 0 ? await continueGreedily(engine, tokens, greedyCount) : [];
    engine.dispose();
    if (args.json) printJson({ positions, greedy });
    else {
      for (const { position, top: best } of positions) {
        printLine(`${position}\t${best.map(([token, logprob]) => `${token}:${logprob.toFixed(4)}`).join(' ')}`);
      }
      if (greedyCount > 0) printLine(`greedy\t${greedy.join(' ')}`);
    }
  } finally {
    model.dispose();
  }
}

/** Nothing but `count` ends it: the continuation is for comparing, end-of-text tokens included. */
async function continueGreedily(engine: Engine, promptTokens: readonly number[], count: number): Promise<number[]> {
  const generation = engine.generate({ promptTokens, maxTokens: count, sampling: GREEDY, stopTokens: new Set() });
  return [...(await generation.drain()).outputTokens];
}

/** The `count` largest entries as log-probabilities (f64), best first, equal ones by token id. */
function bestTokens(logits: Float32Array, count: number): (readonly [number, number])[] {
  let max = Number.NEGATIVE_INFINITY;
  for (const value of logits) if (value > max) max = value;
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - max);
  const logSum = max + Math.log(sum);
  const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  return order.slice(0, count).map((token) => [token, logits[token] - logSum] as const);
}
