/** Results go to standard output, alone; notices and progress go to standard error. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function printLine(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function notice(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** A progress line that rewrites itself on a terminal and stays silent elsewhere. */
export function progressLine(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** Columns padded to their widest cell; numbers right-aligned. */
export function table(rows: readonly (readonly (string | number)[])[]): string {
  const widths = rows.reduce<number[]>((all, row) => {
    row.forEach((cell, i) => {
      all[i] = Math.max(all[i] ?? 0, String(cell).length);
    });
    return all;
  }, []);
  return rows
    .map((row) =>
      row
        .map((cell, i) => (typeof cell === 'number' ? String(cell).padStart(widths[i]) : cell.padEnd(widths[i])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
