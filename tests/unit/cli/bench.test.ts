import { afterEach, describe, expect, test, vi } from 'vitest';
import { main } from '../../../src/cli/main';

const DEMO = 'public/models/demo.q8_0.gguf';
const SMALL = ['--prefill', '3', '--depth', '0,60', '--rows', '1,2', '--decode', '12', '--repeat', '2', '--ctx', '64'];

interface Output {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(...args: string[]): Promise<Output> {
  let stdout = '';
  let stderr = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
  const status = await main(args);
  vi.restoreAllMocks();
  return { status, stdout, stderr };
}

describe('tessera bench on the reference executor', () => {
  afterEach(() => vi.restoreAllMocks());

  test('one JSON object with rates whose spread holds the median, and what was left out', async () => {
    const { status, stdout } = await run('bench', DEMO, '--backend', 'reference', ...SMALL, '--json');
    expect(status).toBe(0);
    const report = JSON.parse(stdout) as Record<string, unknown>;
    expect(report).toMatchObject({
      environment: { backend: 'reference' },
      model: { architecture: 'llama', contextLength: 64 },
      prefill: [{ tokens: 3 }],
      decode: [{ depth: 0, rows: 1 }],
      rows: [{ rows: 1, cost: 1 }, { rows: 2 }],
      generation: { tokens: 12 },
    });
    const points = [...(report['prefill'] as object[]), ...(report['decode'] as object[]), report['generation']];
    for (const { ms, tokensPerSecond, tokens = 1 } of points as {
      ms: Record<'median' | 'min' | 'max' | 'runs', number>;
      tokensPerSecond: number;
      tokens?: number;
    }[]) {
      expect(ms.runs).toBe(2);
      expect(ms.min).toBeLessThanOrEqual(ms.median);
      expect(ms.max).toBeGreaterThanOrEqual(ms.median);
      expect(tokensPerSecond).toBeCloseTo((tokens / ms.median) * 1000, 6);
    }
    const leftOut = report['leftOut'] as { what: string; reason: string }[];
    expect(leftOut.find(({ what }) => what === 'decode at depth 60')?.reason).toMatch(/asked for holds 64/);
    expect(leftOut.find(({ what }) => what.includes('load'))?.reason).toMatch(/reference executor/);
  });

  test('Markdown that can be pasted', async () => {
    const { status, stdout } = await run('bench', DEMO, '--backend', 'reference', ...SMALL, '--decode', '12');
    expect(status).toBe(0);
    for (const title of ['Run', 'Prefill', 'Decode', 'Rows of one step', 'Whole engine, greedy', 'Left out']) {
      expect(stdout).toContain(`### ${title}\n\n| `);
    }
    expect(stdout).toMatch(/^\| 1 \| 1\.00 \| [\d.]+ \| /m);
  });

  test.each([
    [['--profile'], /--profile/],
    [['--decode', '3'], /--decode.*12/],
    [['--repeat', '0'], /--repeat/],
    [['--prefill', '128,x'], /--prefill.*"x"/],
    [['--rows', '17'], /rows.*17/],
    [['--max-seconds', '0'], /--max-seconds/],
  ])('%j is refused with what is wrong', async (args, message) => {
    const { status, stderr, stdout } = await run('bench', DEMO, '--backend', 'reference', ...args);
    expect(status).toBe(1);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
  });
});
