import { type DolaLayers, parseDolaLayers } from '../engine/dola';
import { parseStrategy } from '../engine/strategies/parse';
import type { Strategy } from '../engine/strategies/strategy';
import type { Arguments } from './arguments';

/** How the next token is chosen, beyond the sampler (docs/decoding.md). */
export const STRATEGY_OPTIONS = {
  n: { type: 'string' },
  beams: { type: 'string' },
  'length-penalty': { type: 'string' },
  'early-stopping': { type: 'string' },
  contrastive: { type: 'string' },
  guidance: { type: 'string' },
  'negative-prompt': { type: 'string' },
  dola: { type: 'boolean' },
  'dola-layers': { type: 'string' },
} as const;

/** The strategy that the options ask for. `--top-k` says how many candidates contrastive search has. Throws InvalidOptionError. */
export function readStrategy(args: Arguments): Strategy | undefined {
  const stopping = args.text('early-stopping');
  return parseStrategy({
    num_beams: args.integer('beams', 1),
    length_penalty: args.number('length-penalty'),
    early_stopping: stopping === 'true' || stopping === 'false' ? stopping === 'true' : stopping,
    penalty_alpha: args.number('contrastive'),
    top_k: args.number('top-k'),
    guidance_scale: args.number('guidance'),
  });
}

/** `--dola` is `--dola-layers low`. Throws InvalidOptionError. */
export function readDola(args: Arguments): DolaLayers | undefined {
  const text = args.text('dola-layers');
  if (text === undefined) return args.flag('dola') ? 'low' : undefined;
  return parseDolaLayers(text === 'low' || text === 'high' ? text : args.integers('dola-layers', 0));
}
