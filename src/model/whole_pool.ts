import type { RunnerLimits, Segment } from '../engine/runner';

/**
 * Block tables of one sequence that has the pools for itself, in their own order: for steps that no scheduler plans. Pages of layers that
 * slide go around; a row finds in them what it sees.
 */
export function wholePool({
  numPages,
  sliding,
}: Pick<RunnerLimits, 'numPages' | 'sliding'>): Pick<Segment, 'pages' | 'slidingPages'> {
  const pages = Array.from({ length: numPages }, (_, page) => page);
  return sliding ? { pages, slidingPages: pages.map((page) => page % sliding.numPages) } : { pages };
}
