import type { AdapterDescription, ModelInfo } from '../../index';

const decimal = new Intl.NumberFormat('en', { maximumSignificantDigits: 3, useGrouping: false });
const whole = new Intl.NumberFormat('en');

/** "3.96 MB": decimal units, as file managers show. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const unit = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  return `${decimal.format(bytes / 1000 ** unit)} ${units[unit]}`;
}

/** "3.67 M" parameters. */
export function formatCount(count: number): string {
  if (count < 1e6) return whole.format(count);
  return count < 1e9 ? `${decimal.format(count / 1e6)} M` : `${decimal.format(count / 1e9)} B`;
}

export function formatSeconds(seconds: number): string {
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${decimal.format(seconds)} s`;
}

export function formatRate(tokensPerSecond: number): string {
  return `${decimal.format(tokensPerSecond)} tokens/s`;
}

export function formatWhole(value: number): string {
  return whole.format(value);
}

/** Where the model runs, in as many words as the browser tells. */
export function formatAdapter(info: ModelInfo): string {
  return info.adapter ? adapterName(info.adapter) : 'JavaScript, no GPU';
}

function adapterName({ description, device, vendor, architecture }: AdapterDescription): string {
  return description || device || [vendor, architecture].filter(Boolean).join(' ') || 'WebGPU';
}
