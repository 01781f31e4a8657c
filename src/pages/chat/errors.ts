import { messageOf } from '../../errors/message_of';
import { type ErrorCode, TesseraError } from '../../index';

/** What a reader of the page can do about an error; the error's own message says what is wrong. */
const ADVICE: Partial<Record<ErrorCode, string>> = {
  invalid_file: 'The file seems to be damaged, or is no model. Try to download it again.',
  unsupported_model: 'This version cannot run that model.',
  out_of_memory: 'Try a smaller model or a stronger quantisation, or close other tabs.',
  device_lost: 'The GPU was reset. Try again; if that does not help, reload the page or restart the browser.',
  worker_lost: 'The engine was restarted. Try again.',
  source: 'Check the file or the connection, and try again.',
};

/** An error as one or two sentences for the page; `about` is what the page has named already, and is not named twice. */
export function describeError(error: unknown, about = ''): string {
  if (!(error instanceof TesseraError)) return `Something went wrong: ${messageOf(error)}`;
  const problem = error.message.startsWith(`${about}: `) ? error.message.slice(about.length + 2) : error.message;
  const message = `${problem.charAt(0).toUpperCase()}${problem.slice(1)}`.replace(/[.!?]?$/, '.');
  const advice = ADVICE[error.code];
  return advice ? `${message} ${advice}` : message;
}
