/**
 * Every error that Tessera throws on purpose. `code` is stable and survives the worker's edge (see `toWire` / `fromWire`);
 * `details` holds what a program may want to read (the field, the offset, the numbers), always structured-cloneable.
 */
export type ErrorCode =
  | 'invalid_file'
  | 'unsupported_model'
  | 'invalid_option'
  | 'context_length'
  | 'queue_full'
  | 'out_of_memory'
  | 'device_lost'
  | 'worker_lost'
  | 'webgpu_unavailable'
  | 'kernel'
  | 'source'
  | 'template'
  | 'aborted'
  | 'disposed'
  | 'internal';

export type ErrorDetails = Readonly<Record<string, string | number | boolean | readonly number[] | readonly string[]>>;

interface ErrorInit {
  readonly details?: ErrorDetails;
  readonly cause?: unknown;
}

export class TesseraError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, init: ErrorInit = {}) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.name = new.target.name;
    this.code = code;
    this.details = init.details ?? {};
  }
}

/** A model, tokenizer or template file that is broken. The message says what is wrong and where. */
export class InvalidFileError extends TesseraError {
  constructor(message: string, init?: ErrorInit) {
    super('invalid_file', message, init);
  }
}

/** A well-formed file that says something which this version does not implement; the message names it. */
export class UnsupportedModelError extends TesseraError {
  constructor(message: string, init?: ErrorInit) {
    super('unsupported_model', message, init);
  }
}

/** An option of a public call with a bad value, an unknown name, or no support. `field` names it. */
export class InvalidOptionError extends TesseraError {
  constructor(
    readonly field: string,
    message: string,
    init: ErrorInit = {},
  ) {
    super('invalid_option', `${field}: ${message}`, { ...init, details: { ...init.details, field, reason: message } });
  }
}

/** The prompt (or the prompt and the answer asked for) does not fit into the context. */
export class ContextLengthError extends TesseraError {
  constructor(
    readonly promptTokens: number,
    readonly contextLength: number,
  ) {
    super('context_length', `the prompt has ${promptTokens} tokens, the context holds ${contextLength}`, {
      details: { promptTokens, contextLength },
    });
  }
}

/** As many requests as the engine was told to queue are waiting already: try again when one has ended. */
export class QueueFullError extends TesseraError {
  constructor(
    /** Requests under way: those that run at once and those that wait. */
    readonly requests: number,
    /** How many of them may wait. */
    readonly maxQueued: number,
  ) {
    super('queue_full', `${requests} requests are under way, and no more than ${maxQueued} may wait`, {
      details: { requests, maxQueued },
    });
  }
}

export class OutOfMemoryError extends TesseraError {
  constructor(message: string, init?: ErrorInit) {
    super('out_of_memory', message, init);
  }
}

export class DeviceLostError extends TesseraError {
  constructor(message: string, init?: ErrorInit) {
    super('device_lost', message, init);
  }
}

export class WorkerLostError extends TesseraError {
  constructor(message: string, init?: ErrorInit) {
    super('worker_lost', message, init);
  }
}

/** No WebGPU adapter, or one that lacks what every kernel needs. The message says what the user can do. */
export class WebGpuUnavailableError extends TesseraError {
  constructor(message: string, init?: ErrorInit) {
    super('webgpu_unavailable', message, init);
  }
}

/** A shader that does not link or compile, or a dispatch that failed validation: a fault of ours or of the driver. */
export class KernelError extends TesseraError {
  constructor(message: string, init?: ErrorInit) {
    super('kernel', message, init);
  }
}

/** A source of bytes (network, disk, dropped file) that failed. */
export class SourceError extends TesseraError {
  constructor(message: string, init?: ErrorInit) {
    super('source', message, init);
  }
}

/** A chat template that fails or exceeds its bounds. */
export class TemplateError extends TesseraError {
  constructor(message: string, init?: ErrorInit) {
    super('template', message, init);
  }
}

/** The caller's AbortSignal fired. `name` is "AbortError", as the platform's own. */
export class AbortedError extends TesseraError {
  constructor(message = 'aborted', init?: ErrorInit) {
    super('aborted', message, init);
    this.name = 'AbortError';
  }
}

export class DisposedError extends TesseraError {
  constructor(message: string, init?: ErrorInit) {
    super('disposed', message, init);
  }
}

/** A broken invariant of our own: always a bug. */
export class InternalError extends TesseraError {
  constructor(message: string, init?: ErrorInit) {
    super('internal', message, init);
  }
}

/** Throws `AbortedError` (with the signal's reason as cause) when the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortedError('aborted', { cause: signal.reason });
}
