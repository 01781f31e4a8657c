import { readFile } from 'node:fs/promises';
import { type BatchingReport, randomTrace, simulateServing, type TracedRequest } from '../../engine/serve_sim';
import { InvalidOptionError } from '../../errors';
import { messageOf } from '../../errors/message_of';
import { Arguments } from '../arguments';
import { openModel } from '../open_model';
import { notice, printJson, printLine, table } from '../output';

const FIELDS = ['arrivalMs', 'promptTokens', 'outputTokens'] as const;

/** Replays a request trace by static and by continuous batching, and reports both. */
export async function serveSimCommand(argv: readonly string[]): Promise<void> {
  const args = Arguments.parse(argv, {
    requests: { type: 'string' },
    concurrency: { type: 'string' },
    seed: { type: 'string' },
    trace: { type: 'string' },
  });
  args.model();
  const requests = args.integer('requests', 1) ?? 96;
  const concurrency = args.integer('concurrency', 1) ?? 8;
  const seed = args.integer('seed', 0) ?? 1;
  const file = args.text('trace');
  if (file !== undefined && args.text('requests') !== undefined) {
    throw new InvalidOptionError('--requests', 'the trace says how many requests there are');
  }
  const recorded = file === undefined ? undefined : parseTrace(await readText(file));
  const model = await openModel(args, { maxSlots: concurrency });
  try {
    const { contextLength } = model.description;
    const trace = recorded ?? randomTrace({ requests, seed, contextLength });
    const tooLong = trace.find(({ promptTokens, outputTokens }) => promptTokens + outputTokens > contextLength);
    if (tooLong) {
      const { promptTokens, outputTokens } = tooLong;
      throw new InvalidOptionError(
        '--trace',
        `a request of ${promptTokens} and ${outputTokens} tokens exceeds the context of ${contextLength}`,
      );
    }
    const report = await simulateServing(model.runner, trace, { concurrency, seed });
    if (args.json) printJson(report);
    else printLine(table([['', 'static', 'continuous'], ...rows(report.static, report.continuous)]));
    const { steps } = report.continuous;
    notice(
      `${trace.length} requests, ${concurrency} at once: ${(report.static.steps / steps).toFixed(2)} times fewer steps`,
    );
  } finally {
    model.dispose();
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new InvalidOptionError('--trace', messageOf(cause), { cause });
  }
}

/** A JSON array of `{"arrivalMs", "promptTokens", "outputTokens"}`. */
function parseTrace(text: string): TracedRequest[] {
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch (cause) {
    throw new InvalidOptionError('--trace', `is no JSON: ${cause instanceof Error ? cause.message : ''}`, { cause });
  }
  if (!Array.isArray(entries) || entries.length === 0) {
    throw new InvalidOptionError('--trace', `expected an array of {${FIELDS.join(', ')}}`);
  }
  return entries.map((entry: unknown, i) => {
    const [arrivalMs, promptTokens, outputTokens] = FIELDS.map((field) => {
      const value: unknown =
        typeof entry === 'object' && entry !== null ? (entry as Record<string, unknown>)[field] : undefined;
      const least = field === 'arrivalMs' ? 0 : 1;
      const whole = field === 'arrivalMs' || Number.isSafeInteger(value);
      if (typeof value !== 'number' || !Number.isFinite(value) || value < least || !whole) {
        throw new InvalidOptionError('--trace', `${field} of request ${i} is ${JSON.stringify(value)}`);
      }
      return value;
    });
    return { arrivalMs, promptTokens, outputTokens };
  });
}

function rows(...reports: readonly BatchingReport[]): (string | number)[][] {
  const row = (name: string, of: (report: BatchingReport) => number, digits: number): string[] => [
    name,
    ...reports.map((report) => of(report).toFixed(digits)),
  ];
  return [
    row('steps', ({ steps }) => steps, 0),
    row('tokens per step', ({ tokensPerStep }) => tokensPerStep, 2),
    row('tokens/s', ({ tokensPerSecond }) => tokensPerSecond, 1),
    ...(['p50', 'p95', 'p99'] as const).flatMap((p) => [
      row(`latency ${p} ms`, ({ latencyMs }) => latencyMs[p], 1),
      row(`first token ${p} ms`, ({ timeToFirstTokenMs }) => timeToFirstTokenMs[p], 1),
    ]),
    row('KV waste %', ({ kvWaste }) => 100 * kvWaste, 2),
    row('KV pool in use %', ({ poolUse }) => 100 * poolUse, 1),
  ];
}
