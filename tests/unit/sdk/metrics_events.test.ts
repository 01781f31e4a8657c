import { readFileSync } from 'node:fs';
import { afterEach, expect, test, vi } from 'vitest';
import { createEngine, InvalidOptionError, type MetricsEvent } from '../../../src/index';
import { EngineHost } from '../../../src/worker/host';
import { FakeWorker } from '../../support/fake_worker';

const model = () => new Uint8Array(readFileSync('public/models/demo.q8_0.gguf'));
const ASK = { messages: [{ role: 'user', content: 'Who are you?' }], max_tokens: 6, temperature: 0 } as const;

afterEach(() => vi.unstubAllGlobals());

test.each([
  ['this thread', false as const],
  ['a worker', () => new FakeWorker(new EngineHost()).asWorker()],
])(
  'steps and ended requests come as events, from %s',
  async (_where, worker) => {
    const events: MetricsEvent[] = [];
    const onMetrics = (event: MetricsEvent): void => void events.push(event);
    const engine = await createEngine({ model: model(), backend: 'reference', worker, onMetrics });
    const { usage } = await engine.chat.completions.create(ASK);
    const metrics = await engine.metrics();
    const steps = events.filter((event) => event.type === 'step');
    expect(steps).toHaveLength(metrics.steps);
    expect(steps[0]).toMatchObject({ prefillRows: usage.prompt_tokens, repeat: 1 });
    expect(steps.every(({ ms, pagesInUse }) => ms > 0 && pagesInUse >= 0)).toBe(true);
    const requests = events.filter((event) => event.type === 'request');
    expect(requests).toHaveLength(1);
    expect(requests[0]).toMatchObject({ promptTokens: usage.prompt_tokens, cachedTokens: 0, outputTokens: 6 });
    // Percentiles of one request are its own.
    for (const name of ['queuedMs', 'timeToFirstTokenMs', 'timePerOutputTokenMs', 'endToEndMs'] as const)
      expect(metrics[name].p95).toBe(requests[0][name]);
    await engine.dispose();
  },
  60_000,
);

test('a listener that throws is reported and stops no answer; what is no function is refused', async () => {
  const reportError = vi.fn();
  vi.stubGlobal('reportError', reportError);
  const mine = new Error('mine');
  const onMetrics = (): void => {
    throw mine;
  };
  const engine = await createEngine({ model: model(), backend: 'reference', worker: false, onMetrics });
  const { choices } = await engine.chat.completions.create(ASK);
  expect(choices[0].message.content).toMatch(/\w/);
  expect(reportError).toHaveBeenCalledWith(mine);
  await engine.dispose();
  const refused = createEngine({ model: model(), worker: false, onMetrics: 'yes' as never });
  await expect(refused).rejects.toSatisfy(
    (error) => error instanceof InvalidOptionError && error.field === 'onMetrics',
  );
});
