/** The entry `tessera-llm/bench`: the benchmark suite in a worker of its own, apart from the SDK for its size. */
export { reportMarkdown } from './model/bench/markdown';
export type {
  BenchmarkReport,
  BenchmarkSettings,
  PrefillPoint,
  RowsPoint,
  StepPoint,
} from './model/bench/report';
export type { BenchmarkProgress } from './model/bench/suite';
export { adapterName, figure, type ReportTable, reportTables } from './model/bench/tables';
export { type BenchmarkOptions, runBenchmark } from './sdk/benchmark';
