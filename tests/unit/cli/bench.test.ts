import { afterEach, describe, expect, test, vi } from 'vitest';
import { main } from '../../../src/cli/main';

const DEMO = 'public/models/demo.q8_0.gguf';

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

  test('one JSON object with rates whose spread holds the median', async () => {
    const args = ['--prefill', '3', '--decode', '12', '--repeat', '2', '--ctx', '64', '--json'];
    const { status, stdout } = await run('bench', DEMO, '--backend', 'reference', ...args);
    expect(status).toBe(0);
    const result = JSON.parse(stdout) as Record<'prefill' | 'decode', Record<string, unknown>>;
    expect(result).toMatchObject({ repetitions: 2, prefill: { tokens: 3 }, decode: { tokens: 12 } });
    for (const { tokens, ms, tokensPerSecond, spread } of [result.prefill, result.decode]) {
      const { min, max } = spread as { min: number; max: number };
      expect(ms).toBeGreaterThan(0);
      expect(tokensPerSecond).toBeCloseTo((Number(tokens) / Number(ms)) * 1000, 6);
      expect(min).toBeGreaterThan(0);
      expect(min).toBeLessThanOrEqual(Number(tokensPerSecond));
      expect(max).toBeGreaterThanOrEqual(Number(tokensPerSecond));
    }
  }, 60_000);

  test.each([
    [['--profile'], /--profile/],
    [['--decode', '3'], /--decode.*12/],
    [['--repeat', '0'], /--repeat/],
    [['--prefill', '60', '--decode', '12', '--ctx', '64'], /60 \+ 12 tokens do not fit the context of 64/],
  ])('%j is refused with what is wrong', async (args, message) => {
    const { status, stderr, stdout } = await run('bench', DEMO, '--backend', 'reference', ...args);
    expect(status).toBe(1);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
  });
});
