import { InvalidOptionError, UnsupportedModelError } from '../errors';
import type { RunnerLimits } from './runner';

/** Layers to contrast with the last one: those of the first half, those of the second, or these (see Segment.dola). */
export type DolaLayers = 'low' | 'high' | readonly number[];

/**
 * The layers that a request contrasts (Chuang et al. 2024, DoLa), in rising order. `low` and `high` mean every second layer of the half, of 20
 * layers at most, as in transformers; `low` leaves out what embeddings that are the output matrix too make trivial.
 * Throws InvalidOptionError for layers that there are not, UnsupportedModelError where the model cannot.
 */
export function layersToContrast(asked: DolaLayers, exits: RunnerLimits['earlyExits']): readonly number[] {
  if (!exits) throw new UnsupportedModelError('dola_layers: this model does not predict tokens from its early layers');
  const { numLayers, tiedEmbeddings } = exits;
  if (typeof asked !== 'string') return checkLayers(asked, numLayers);
  const half = Math.floor(numLayers / 2);
  const reach = numLayers > 40;
  if (asked === 'high') return everySecond(reach ? numLayers - 20 : half, numLayers);
  const first = tiedEmbeddings ? Math.min(2, numLayers - 1) : 0;
  const found = everySecond(first, reach ? 20 : half);
  return found.length > 0 ? found : [first];
}

function everySecond(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, Math.ceil((to - from) / 2)) }, (_, i) => from + 2 * i);
}

function checkLayers(layers: readonly number[], numLayers: number): readonly number[] {
  if (layers.length === 0) throw new InvalidOptionError('dola_layers', 'no layer to contrast');
  for (const layer of layers) {
    if (Number.isSafeInteger(layer) && layer >= 0 && layer < numLayers) continue;
    throw new InvalidOptionError(
      'dola_layers',
      `${layer} is not an integer from 0 to ${numLayers - 1}: the last layer is ${numLayers}`,
    );
  }
  return [...new Set(layers)].sort((a, b) => a - b);
}

/** Reads `dola_layers`; null and undefined mean absent. Throws InvalidOptionError for another type. */
export function parseDolaLayers(value: unknown): DolaLayers | undefined {
  if (value === undefined || value === null) return undefined;
  if (value === 'low' || value === 'high') return value;
  if (!Array.isArray(value) || !value.every((layer) => typeof layer === 'number')) {
    throw new InvalidOptionError('dola_layers', 'must be "low", "high" or a list of layers');
  }
  return value as readonly number[];
}
