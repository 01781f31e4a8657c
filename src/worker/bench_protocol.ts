import type { WireError } from '../errors/wire';
import type { BenchmarkReport } from '../model/bench/report';
import type { BenchmarkProgress } from '../model/bench/suite';

/** What a benchmark worker says: progress, then once how it ended. It is told one `BenchmarkRequest`; ending it cancels the run. */
export type BenchmarkMessage =
  | { readonly kind: 'progress'; readonly progress: BenchmarkProgress }
  | { readonly kind: 'done'; readonly report: BenchmarkReport }
  | { readonly kind: 'failed'; readonly error: WireError };
