/**
 * Errors as plain data, for the edge of a worker: structured cloning keeps an error's message but loses its class and fields.
 * `fromWire(toWire(error))` has the same class, code, details, message, stack and chain of causes.
 */
import {
  AbortedError,
  ContextLengthError,
  DeviceLostError,
  DisposedError,
  type ErrorCode,
  type ErrorDetails,
  InternalError,
  InvalidFileError,
  InvalidOptionError,
  KernelError,
  OutOfMemoryError,
  QueueFullError,
  SourceError,
  TemplateError,
  TesseraError,
  UnsupportedModelError,
  WebGpuUnavailableError,
  WorkerLostError,
} from './index';

/** A value that was thrown: an error of ours (with `code`), any other error, or a value that is no error at all. */
export type WireError =
  | {
      readonly kind: 'error';
      readonly name: string;
      readonly message: string;
      readonly stack?: string;
      readonly code?: ErrorCode;
      readonly details?: ErrorDetails;
      readonly cause?: WireError;
    }
  | { readonly kind: 'value'; readonly text: string };

/** A chain of causes longer than this (or a circular one) is cut. */
const MAX_CAUSES = 8;

type Init = { readonly details: ErrorDetails; readonly cause?: unknown };

const CLASSES: Readonly<Record<ErrorCode, (message: string, init: Init) => TesseraError>> = {
  invalid_file: (message, init) => new InvalidFileError(message, init),
  unsupported_model: (message, init) => new UnsupportedModelError(message, init),
  invalid_option: (_, init) =>
    new InvalidOptionError(String(init.details['field']), String(init.details['reason']), init),
  context_length: (_, { details }) =>
    new ContextLengthError(Number(details['promptTokens']), Number(details['contextLength'])),
  queue_full: (_, { details }) => new QueueFullError(Number(details['requests']), Number(details['maxQueued'])),
  out_of_memory: (message, init) => new OutOfMemoryError(message, init),
  device_lost: (message, init) => new DeviceLostError(message, init),
  worker_lost: (message, init) => new WorkerLostError(message, init),
  webgpu_unavailable: (message, init) => new WebGpuUnavailableError(message, init),
  kernel: (message, init) => new KernelError(message, init),
  source: (message, init) => new SourceError(message, init),
  template: (message, init) => new TemplateError(message, init),
  aborted: (message, init) => new AbortedError(message, init),
  disposed: (message, init) => new DisposedError(message, init),
  internal: (message, init) => new InternalError(message, init),
};

export function toWire(error: unknown, depth = 0): WireError {
  if (!(error instanceof Error)) return { kind: 'value', text: String(error) };
  const { name, message, stack, cause } = error;
  return {
    kind: 'error',
    name,
    message,
    stack,
    ...(error instanceof TesseraError ? { code: error.code, details: error.details } : {}),
    ...(cause === undefined || depth >= MAX_CAUSES ? {} : { cause: toWire(cause, depth + 1) }),
  };
}

/** The error again; a value that was no error comes back as its text. */
export function fromWire(wire: WireError): unknown {
  if (wire.kind === 'value') return wire.text;
  const cause = wire.cause && fromWire(wire.cause);
  const error = restore(wire, cause);
  if (wire.stack !== undefined) error.stack = wire.stack;
  return error;
}

function restore(wire: WireError & { kind: 'error' }, cause: unknown): Error {
  if (wire.code !== undefined) return CLASSES[wire.code](wire.message, { details: wire.details ?? {}, cause });
  const error = new Error(wire.message, cause === undefined ? undefined : { cause });
  error.name = wire.name;
  return error;
}
