import { type BenchmarkReport, reportMarkdown, reportTables } from '../../bench';
import { byId, el } from '../chat/dom';
import { rooflineOf } from './roofline';
import { RooflineChart } from './roofline_chart';

/** Verdict, chart and tables of one report; copies and downloads it. */
export class Results {
  readonly #section = byId('results', HTMLElement);
  readonly #verdict = byId('verdict', HTMLElement);
  readonly #figure = byId('chart-figure', HTMLElement);
  readonly #tables = byId('tables', HTMLElement);
  readonly #export = byId('export', HTMLElement);
  readonly #note = byId('export-note', HTMLElement);
  readonly #chart = new RooflineChart(byId('chart', HTMLElement), byId('chart-legend', HTMLElement));
  #report: BenchmarkReport | undefined;

  constructor() {
    byId('copy', HTMLButtonElement).addEventListener('click', () => void this.#copy());
    byId('download', HTMLButtonElement).addEventListener('click', () => this.#download());
  }

  clear(): void {
    this.#report = undefined;
    this.#section.hidden = true;
    this.#figure.hidden = true;
    this.#note.textContent = '';
  }

  /** `finished`: it may be copied; before that it still grows. */
  show(report: BenchmarkReport, finished: boolean): void {
    this.#report = report;
    this.#section.hidden = false;
    this.#export.hidden = !finished;
    this.#showVerdict(report, finished);
    // The figure before the chart, which measures its place.
    const roofline = rooflineOf(report);
    this.#figure.hidden = roofline === undefined;
    if (roofline) this.#chart.show(roofline);
    this.#tables.replaceChildren(...reportTables(report).map(tableOf));
  }

  #showVerdict({ selfTest }: BenchmarkReport, finished: boolean): void {
    this.#verdict.hidden = selfTest === undefined;
    if (!selfTest) return;
    const { passed, failures } = selfTest;
    this.#verdict.classList.toggle('failed', failures.length > 0);
    this.#verdict.replaceChildren(
      failures.length === 0
        ? `Self-test: ${passed} checks passed, none failed.`
        : `Self-test FAILED: ${failures.length} of ${passed + failures.length} checks are wrong on this GPU${finished ? ', so nothing was measured' : ''}.`,
      ...(failures.length === 0
        ? []
        : [el('ul', {}, ...failures.map(({ op, label, reason }) => el('li', {}, `${op}: ${label} – ${reason}`)))]),
    );
  }

  async #copy(): Promise<void> {
    if (!this.#report) return;
    try {
      await navigator.clipboard.writeText(reportMarkdown(this.#report));
      this.#note.textContent = 'Copied.';
    } catch {
      this.#note.textContent = 'The browser did not allow copying; download the JSON instead.';
    }
  }

  #download(): void {
    if (!this.#report) return;
    const blob = new Blob([JSON.stringify(this.#report, undefined, 2)], { type: 'application/json' });
    const address = URL.createObjectURL(blob);
    const name = `tessera-${this.#report.model.name.replaceAll(/[^\w.-]+/g, '-')}-${this.#report.date.slice(0, 10)}.json`;
    el('a', { href: address, download: name }).click();
    // The download has begun with the click.
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }
}

function tableOf({ title, head, rows }: ReturnType<typeof reportTables>[number]): HTMLElement {
  const hasHead = head.some((cell) => cell !== '');
  return el(
    'section',
    { class: 'table-section' },
    el('h3', {}, title),
    el(
      'div',
      { class: 'table-scroll' },
      el(
        'table',
        { class: head.length === 2 ? 'pairs' : 'figures' },
        ...(hasHead ? [el('thead', {}, el('tr', {}, ...head.map((cell) => el('th', { scope: 'col' }, cell))))] : []),
        el(
          'tbody',
          {},
          ...rows.map(([first = '', ...rest]) =>
            el('tr', {}, el('th', { scope: 'row' }, first), ...rest.map((cell) => el('td', {}, cell))),
          ),
        ),
      ),
    ),
  );
}
