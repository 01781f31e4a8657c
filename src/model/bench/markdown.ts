import type { BenchmarkReport } from './report';
import { type ReportTable, reportTables } from './tables';

/** The report as Markdown tables, ready to paste. */
export function reportMarkdown(report: BenchmarkReport): string {
  return tablesMarkdown(reportTables(report));
}

export function tablesMarkdown(tables: readonly ReportTable[]): string {
  return tables
    .map(({ title, head, rows }) => {
      const align = head.map((_, i) => (i === 0 || isText(rows, i) ? '---' : '---:'));
      return [`### ${title}`, '', ...[head, align, ...rows].map(line)].join('\n');
    })
    .join('\n\n');
}

/** A column that holds anything longer than a figure with its unit. */
function isText(rows: ReportTable['rows'], column: number): boolean {
  return rows.some((row) => (row[column] ?? '').length > 24);
}

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ')).join(' | ')} |`;
}
