import { expect, it } from 'vitest';
import { InvalidFileError } from '../../../src/errors';
import {
  type GgufMetadata,
  getBool,
  getNumber,
  getNumberArray,
  getString,
  getStringArray,
  optionalBool,
  optionalNumber,
  optionalNumberArray,
  optionalString,
  optionalStringArray,
} from '../../../src/formats/gguf/gguf';
import { readGguf } from '../../../src/formats/gguf/read_gguf';
import { bufferSource } from '../../../src/storage/byte_source';
import { writeGguf, written } from '../../support/gguf_writer';

const gguf = await readGguf(
  bufferSource(
    writeGguf({
      metadata: [
        ['text', written.string('llama')],
        ['number', { type: 'i64', value: -3n }],
        ['huge', { type: 'u64', value: 2n ** 60n }],
        ['flag', written.bool(false)],
        ['texts', written.array('string', ['a', 'b'])],
        ['numbers', written.array('f32', [0.5, 2])],
        ['wide', written.array('u64', [1n, 2n ** 40n])],
        ['too wide', written.array('i64', [1n, -(2n ** 60n)])],
        ['none', written.array('i32', [])],
      ],
    }),
  ),
);

it('give the value of the asked type', () => {
  expect(getString(gguf, 'text')).toBe('llama');
  expect(getNumber(gguf, 'number')).toBe(-3);
  expect(getBool(gguf, 'flag')).toBe(false);
  expect(getStringArray(gguf, 'texts')).toEqual(['a', 'b']);
  expect([...getNumberArray(gguf, 'numbers')]).toEqual([0.5, 2]);
  expect([...getNumberArray(gguf, 'wide')]).toEqual([1, 2 ** 40]);
  expect(getStringArray(gguf, 'none')).toEqual([]);
  expect(getNumberArray(gguf, 'none').length).toBe(0);
});

type Get = (gguf: GgufMetadata, key: string) => unknown;

const required: readonly Get[] = [getString, getNumber, getBool, getStringArray, getNumberArray];
const optional: readonly Get[] = [
  optionalString,
  optionalNumber,
  optionalBool,
  optionalStringArray,
  optionalNumberArray,
];

it('name the key, what was expected and what was found', () => {
  for (const get of optional) expect(get(gguf, 'absent')).toBeUndefined();
  for (const get of required) {
    expect(() => get(gguf, 'absent')).toThrow(/^metadata key "absent": expected .+, found nothing$/);
  }
  const right = ['text', 'number', 'flag', 'texts', 'numbers'];
  for (const [i, key] of right.entries()) {
    for (const [j, get] of [...required, ...optional].entries()) {
      if (j % required.length === i) expect(() => get(gguf, key)).not.toThrow();
      else expect(() => get(gguf, key)).toThrow(InvalidFileError);
    }
  }
  expect(() => getNumber(gguf, 'text')).toThrow('metadata key "text": expected a number, found string');
  expect(() => getString(gguf, 'numbers')).toThrow('metadata key "numbers": expected a string, found an array of f32');
});

it('do not round integers', () => {
  expect(() => getNumber(gguf, 'huge')).toThrow(/"huge": expected a number below 2\^53, found 1152921504606846976/);
  expect(() => getNumberArray(gguf, 'too wide')).toThrow(
    /"too wide": expected numbers below 2\^53, found -1152921504606846976/,
  );
});
