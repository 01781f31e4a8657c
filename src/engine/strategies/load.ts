import type { StartStrategy } from './host';
import type { Strategy } from './strategy';

/** Fetches the code of strategies, which most requests do without. */
export async function loadStrategy(strategy: Strategy): Promise<StartStrategy> {
  const { startStrategy } = await import('./strategy');
  return (request, host) => startStrategy(strategy, request, host);
}
