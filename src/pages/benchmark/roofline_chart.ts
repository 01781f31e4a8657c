import uPlot from 'uplot';
import { el } from '../chat/dom';
import { type PointKind, type Roofline, roofAt } from './roofline';

const KINDS: readonly { readonly kind: PointKind; readonly label: string }[] = [
  { kind: 'decode', label: 'decode, by depth' },
  { kind: 'rows', label: 'several rows of a step' },
  { kind: 'prefill', label: 'prefill, by tokens' },
];
const HEIGHT = 320;
/** uPlot's types have an enum of which nothing is left at run time. */
const LOGARITHMIC = 3 as unknown as uPlot.Scale.Distr;

/** A chart with both axes logarithmic. Colours are those of the page's theme, which the canvas has to be told. */
export class RooflineChart {
  readonly #place: HTMLElement;
  #plot: uPlot | undefined;
  #shown: Roofline | undefined;

  constructor(place: HTMLElement, legend: HTMLElement) {
    this.#place = place;
    legend.append(
      el('li', { class: 'roof' }, 'the most that this machine can do'),
      ...KINDS.map(({ kind, label }) => el('li', { class: kind }, label)),
    );
    new ResizeObserver(() => this.#fit()).observe(place);
    const redraw = (): void => {
      if (this.#shown) this.show(this.#shown);
    };
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
    new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ['data-theme'] });
  }

  show(roofline: Roofline): void {
    this.#shown = roofline;
    this.#plot?.destroy();
    this.#plot = new uPlot(this.#options(roofline), dataOf(roofline), this.#place);
    this.#place.role = 'img';
    this.#place.ariaLabel = describe(roofline);
  }

  #fit(): void {
    const width = this.#place.clientWidth;
    if (this.#plot && width > 0 && width !== this.#plot.width) this.#plot.setSize({ width, height: HEIGHT });
  }

  #options(roofline: Roofline): uPlot.Options {
    const style = getComputedStyle(this.#place);
    const font = `12px ${style.fontFamily}`;
    const ink = this.#colour('muted');
    const line = this.#colour('line');
    const axis = (label: string): uPlot.Axis => ({
      label,
      labelFont: font,
      font,
      stroke: ink,
      grid: { stroke: line, width: 1 },
      ticks: { stroke: line, width: 1 },
      // Full decades and their halves would crowd a narrow chart.
      values: (_, splits) => splits.map((value) => (isDecade(value) ? formatDecade(value) : '')),
    });
    const points = (kind: PointKind): uPlot.Series => ({
      stroke: this.#colour(kind),
      paths: () => null,
      points: { show: true, size: 10, fill: this.#colour(kind), stroke: this.#colour('surface'), width: 1.5 },
    });
    return {
      width: Math.max(200, this.#place.clientWidth),
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false, distr: LOGARITHMIC, log: 10 }, y: { distr: LOGARITHMIC, log: 10, auto: true } },
      axes: [axis('operations per byte'), { ...axis('GFLOP/s'), size: 56 }],
      series: [
        {},
        { stroke: this.#colour('roof'), width: 2, pxAlign: 0, points: { show: false } },
        ...KINDS.map(({ kind }) => points(kind)),
      ],
      hooks: { draw: [(plot) => this.#label(plot, roofline, font)] },
    };
  }

  /** Each point's depth, rows or tokens, above it. */
  #label(plot: uPlot, { points }: Roofline, font: string): void {
    const { ctx } = plot;
    ctx.save();
    const ratio = devicePixelRatio || 1;
    ctx.font = font.replace('12px', `${12 * ratio}px`);
    ctx.textAlign = 'center';
    ctx.fillStyle = this.#colour('ink');
    for (const { intensity, gflops, label } of points) {
      ctx.fillText(label, plot.valToPos(intensity, 'x', true), plot.valToPos(gflops, 'y', true) - 9 * ratio);
    }
    ctx.restore();
  }

  /** A theme's colour as the canvas understands it: `light-dark()` is resolved only in use. */
  #colour(name: string): string {
    const probe = this.#place.appendChild(el('i', { class: `probe ${name}` }));
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  }
}

/** One column for all series: where the roof begins, bends and ends, and the points, in order of intensity. */
function dataOf(roofline: Roofline): uPlot.AlignedData {
  const { points } = roofline;
  const intensities = points.map(({ intensity }) => intensity);
  const ridge = roofline.peakGflops / roofline.bandwidthGBs;
  const first = Math.min(...intensities, ridge) / 2;
  const last = Math.max(...intensities, ridge) * 2;
  const columns = [
    ...[first, ridge, last].map((x) => ({ x, point: undefined })),
    ...points.map((point) => ({ x: point.intensity, point })),
  ].sort((a, b) => a.x - b.x);
  return [
    columns.map(({ x }) => x),
    columns.map(({ x }) => roofAt(roofline, x)),
    ...KINDS.map(({ kind }) => columns.map(({ point }) => (point?.kind === kind ? point.gflops : null))),
  ];
}

function isDecade(value: number): boolean {
  const power = Math.log10(value);
  return Math.abs(power - Math.round(power)) < 1e-6;
}

function formatDecade(value: number): string {
  return value >= 1 ? String(Math.round(value)) : value.toPrecision(1);
}

function describe({ bandwidthGBs, peakGflops, points }: Roofline): string {
  const best = points.map(
    ({ kind, label, gflops }) =>
      `${KINDS.find((known) => known.kind === kind)?.label} ${label}: ${gflops.toPrecision(3)} GFLOP/s`,
  );
  return `Roofline of ${bandwidthGBs.toPrecision(3)} GB/s and ${peakGflops.toPrecision(3)} GFLOP/s. ${best.join('. ')}.`;
}
