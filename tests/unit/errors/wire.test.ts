import { describe, expect, test } from 'vitest';
import * as errors from '../../../src/errors';
import { fromWire, toWire } from '../../../src/errors/wire';

const cross = (error: unknown) => fromWire(structuredClone(toWire(error)));

const SIMPLE = [
  errors.InvalidFileError,
  errors.UnsupportedModelError,
  errors.OutOfMemoryError,
  errors.DeviceLostError,
  errors.WorkerLostError,
  errors.WebGpuUnavailableError,
  errors.KernelError,
  errors.SourceError,
  errors.TemplateError,
  errors.AbortedError,
  errors.DisposedError,
  errors.InternalError,
];

describe('errors across the edge', () => {
  test.each(SIMPLE.map((type) => [type.name, type] as const))('%s keeps class, code, details and cause', (_, type) => {
    const error = new type('what went wrong', {
      details: { offset: 7, names: ['a', 'b'] },
      cause: new TypeError('inner'),
    });
    const again = cross(error);
    expect(again).toBeInstanceOf(type);
    expect(again).toMatchObject({ code: error.code, name: error.name, message: error.message, details: error.details });
    expect(again).toMatchObject({ stack: error.stack, cause: { name: 'TypeError', message: 'inner' } });
  });

  test('fields of their own survive', () => {
    expect(cross(new errors.ContextLengthError(530, 512))).toMatchObject({ promptTokens: 530, contextLength: 512 });
    expect(cross(new errors.QueueFullError(12, 4))).toMatchObject({ code: 'queue_full', requests: 12, maxQueued: 4 });
    const option = new errors.InvalidOptionError('top_p', 'must be in (0, 1]');
    const again = cross(option);
    expect(again).toBeInstanceOf(errors.InvalidOptionError);
    expect(again).toMatchObject({ field: 'top_p', message: option.message });
  });

  test('a chain of typed causes stays typed', () => {
    const inner = new errors.SourceError('connection reset', { details: { status: 502 } });
    const again = cross(new errors.InvalidFileError('cut', { cause: inner })) as Error;
    expect(again.cause).toBeInstanceOf(errors.SourceError);
    expect(again.cause).toMatchObject({ details: { status: 502 } });
  });

  test('a circle of causes ends', () => {
    const error = new Error('a');
    error.cause = error;
    let depth = 0;
    for (let at: unknown = cross(error); at instanceof Error; at = at.cause) depth++;
    expect(depth).toBeLessThan(20);
  });

  test('foreign errors and values that are no errors', () => {
    expect(cross(new RangeError('x'))).toMatchObject({ name: 'RangeError', message: 'x' });
    expect(cross('a reason')).toBe('a reason');
    expect(cross(undefined)).toBe('undefined');
  });
});
