import { expect, test } from 'vitest';
import { InvalidFileError, OutOfMemoryError } from '../../../src/errors';
import { describeError } from '../../../src/pages/chat/errors';

test('an error becomes sentences with advice', () => {
  const text = describeError(new OutOfMemoryError('the weights need 9 GB'));
  expect(text).toMatch(/^The weights need 9 GB\. Try a smaller model/);
});

test('what the page has named already is not named again', () => {
  const error = new InvalidFileError('a.gguf: the header: cut short');
  expect(describeError(error, 'a.gguf')).toMatch(/^The header: cut short\. /);
  expect(describeError(error, 'b.gguf')).toMatch(/^A\.gguf: the header: cut short\. /);
});

test('an error of another kind says that something went wrong, with its message', () => {
  expect(describeError(new TypeError('x is not a function'))).toBe('Something went wrong: x is not a function');
  expect(describeError('odd')).toBe('Something went wrong: odd');
});
