import type { BenchmarkReport } from '../../bench';

export type PointKind = 'decode' | 'rows' | 'prefill';

export interface RooflinePoint {
  readonly kind: PointKind;
  readonly label: string;
  /** Operations per byte that must be read. */
  readonly intensity: number;
  /** 10⁹ operations a second. */
  readonly gflops: number;
}

export interface Roofline {
  readonly bandwidthGBs: number;
  readonly peakGflops: number;
  readonly points: readonly RooflinePoint[];
}

/** The points of a report under its machine's roof (Williams, Waterman & Patterson 2009); undefined before there are both. */
export function rooflineOf({ machine, decode, rows, prefill }: BenchmarkReport): Roofline | undefined {
  const point = (
    kind: PointKind,
    label: string,
    { least, ms }: Pick<BenchmarkReport['decode'][number], 'least' | 'ms'>,
  ): RooflinePoint[] => {
    if (!least) return [];
    const { flops, weightBytes, kvBytes } = least;
    return [{ kind, label, intensity: flops / (weightBytes + kvBytes), gflops: flops / (ms.median * 1e6) }];
  };
  const points = [
    ...decode.flatMap((step) => point('decode', shortCount(step.depth), step)),
    ...rows.filter((step) => step.rows > 1).flatMap((step) => point('rows', `×${step.rows}`, step)),
    ...prefill.flatMap((prompt) => point('prefill', shortCount(prompt.tokens), prompt)),
  ];
  if (!machine || points.length === 0) return undefined;
  return { bandwidthGBs: machine.streamReadGBs, peakGflops: machine.fmaGFLOPs.f32, points };
}

/** "16k" for 16,384. */
function shortCount(count: number): string {
  return count >= 1024 && count % 1024 === 0 ? `${count / 1024}k` : String(count);
}

/** The best that can be had at an intensity. */
export function roofAt({ bandwidthGBs, peakGflops }: Roofline, intensity: number): number {
  return Math.min(peakGflops, bandwidthGBs * intensity);
}
