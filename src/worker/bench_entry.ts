/** The benchmark worker's script: one run of the suite. A script apart, so that nobody who only chats loads it. */
import { toWire } from '../errors/wire';
import type { BenchmarkMessage } from './bench_protocol';
import { type BenchmarkRequest, benchmark } from './run_benchmark';

const say = (message: BenchmarkMessage): void => globalThis.postMessage(message);

globalThis.addEventListener(
  'message',
  ({ data }: MessageEvent<BenchmarkRequest>) => {
    benchmark(data, { onProgress: (progress) => say({ kind: 'progress', progress }) }).then(
      (report) => say({ kind: 'done', report }),
      (error: unknown) => say({ kind: 'failed', error: toWire(error) }),
    );
  },
  { once: true },
);
