import type { AdapterDescription } from '../../gpu/capabilities';

/** Milliseconds of a tuning by its name (`nameOf`), or what is wrong with it. */
export type Measured = Map<string, number | 'wrong'>;

/** What is known of one machine, by key (`tuningKey`). */
export type TuningRecords = Map<string, Measured>;

/**
 * Where a machine's records are kept: another adapter, driver or version of this package measures anew. Dawn in Node says the driver in
 * the adapter's description; browsers keep it to themselves, but another `runtime` (the browser's name and version) brings another compiler.
 */
export function recordsName(
  adapter: AdapterDescription,
  features: readonly string[],
  version: string,
  runtime = '',
): string {
  const { vendor, architecture, device, description } = adapter;
  return ['tuning', version, vendor, architecture, device, description, runtime, ...features].join('|');
}

export function formatRecords(records: TuningRecords): string {
  const entries = [...records].map(([key, measured]) => [key, Object.fromEntries(measured)] as const);
  return JSON.stringify(Object.fromEntries(entries));
}

/** Whatever is no record is dropped: it will be measured again. */
export function parseRecords(text: string | undefined): TuningRecords {
  const records: TuningRecords = new Map();
  for (const [key, measured] of entriesOf(parsed(text))) {
    const valid = entriesOf(measured).filter(
      (entry): entry is [string, number | 'wrong'] =>
        entry[1] === 'wrong' || (typeof entry[1] === 'number' && entry[1] > 0),
    );
    records.set(key, new Map(valid));
  }
  return records;
}

function parsed(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
}
