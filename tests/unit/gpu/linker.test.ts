import { describe, expect, test } from 'vitest';
import { KernelError } from '../../../src/errors';
import { compileError } from '../../../src/gpu/compile_error';
import { linkShader } from '../../../src/gpu/linker';
import { describeKernel } from '../../../src/gpu/pipelines';

function files(record: Record<string, string>): ReadonlyMap<string, string> {
  return new Map(Object.entries(record));
}

/** The error that `fn` throws, which must be a KernelError. */
function kernelError(fn: () => unknown): string {
  try {
    fn();
  } catch (error) {
    if (error instanceof KernelError) return error.message;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const DIAMOND = files({
  'ops/top.wgsl': '// #import "lib/left.wgsl"\n// #import "lib/right.wgsl"\nfn top() { left(); right(); }\n',
  'lib/left.wgsl': '// #import "lib/base.wgsl"\nfn left() { base(); }\n',
  'lib/right.wgsl': '// #import "lib/base.wgsl"\nfn right() { base(); }\n',
  'lib/base.wgsl': 'fn base() {}\n',
  'lib/other_base.wgsl': '// #import "lib/deep.wgsl"\nfn base() { deep(); }\n',
  'lib/deep.wgsl': 'fn deep() {}\n',
});

describe('imports', () => {
  test('come before their importer, each once', () => {
    const { code } = linkShader({ entry: 'ops/top.wgsl' }, DIAMOND);
    const functions = [...code.matchAll(/fn (\w+)/g)].map(([, name]) => name);
    expect(functions).toEqual(['base', 'left', 'right', 'top']);
  });

  test('are swapped wherever they are imported, with the imports of the module that takes the place', () => {
    const { code } = linkShader({ entry: 'ops/top.wgsl', swaps: { 'lib/base.wgsl': 'lib/other_base.wgsl' } }, DIAMOND);
    expect([...code.matchAll(/fn (\w+)/g)].map(([, name]) => name)).toEqual(['deep', 'base', 'left', 'right', 'top']);
    expect(code).toContain('base() { deep(); }');
  });

  test('that go in a circle, are missing or malformed say where', () => {
    const circle = files({
      'a.wgsl': '// #import "b.wgsl"\n',
      'b.wgsl': '// #import "c.wgsl"\n',
      'c.wgsl': '// #import "b.wgsl"\n',
    });
    expect(kernelError(() => linkShader({ entry: 'a.wgsl' }, circle))).toContain('b.wgsl → c.wgsl → b.wgsl');
    expect(kernelError(() => linkShader({ entry: 'nowhere.wgsl' }, DIAMOND))).toContain('nowhere.wgsl');
    const missing = files({ 'a.wgsl': '// #import "b.wgsl"\n' });
    expect(kernelError(() => linkShader({ entry: 'a.wgsl' }, missing))).toMatch(/"b\.wgsl".*a\.wgsl imports/);
    const malformed = files({ 'a.wgsl': 'fn a() {}\n// #import b.wgsl\n' });
    expect(kernelError(() => linkShader({ entry: 'a.wgsl' }, malformed))).toContain('a.wgsl:2');
  });

  test('a swap that changes nothing is refused', () => {
    const swaps = { 'lib/typo.wgsl': 'lib/deep.wgsl' };
    expect(kernelError(() => linkShader({ entry: 'ops/top.wgsl', swaps }, DIAMOND))).toContain('"lib/typo.wgsl"');
  });
});

describe('values', () => {
  const source = files({
    'k.wgsl': `const ROWS: u32 = 4u; // const ROWS: u32 = 5u;
/* const ROWS: u32 = 6u; /* nested */ const OLD: u32 = 1u; */
const TILE = 8u;
const SIGNED = -2;
const WIDE: u32 =
  ROWS *
  2u;
const CAUSAL: bool = true;
alias Act = f32;
override COLS: u32;
override SCALE: f32 = 1.0;
fn main() {
  const ROWS: u32 = 9u;
  const LOCAL: u32 = 1u;
}
`,
  });

  test('replace module-scope initialisers only, and keep the line numbers', () => {
    const linked = linkShader({ entry: 'k.wgsl', constants: { ROWS: 2, TILE: 16, WIDE: 3, CAUSAL: false } }, source);
    expect(linked.code).toContain('const ROWS: u32 = 2; // const ROWS: u32 = 5u;');
    expect(linked.code).toContain('/* const ROWS: u32 = 6u;');
    expect(linked.code).toContain('const TILE = 16u;');
    expect(linked.code).toContain('const CAUSAL: bool = false;');
    expect(linked.code).toContain('  const ROWS: u32 = 9u;');
    const lines = linked.code.split('\n');
    expect(linked.lineMap).toHaveLength(lines.length);
    const line = lines.findIndex((text) => text.startsWith('alias Act'));
    expect(linked.lineMap[line]).toEqual({ file: 'k.wgsl', line: 9 });
  });

  test('an alias of f16 enables f16 once, whoever asks', () => {
    expect(linkShader({ entry: 'k.wgsl' }, source).code).not.toContain('enable');
    expect(linkShader({ entry: 'k.wgsl', aliases: { Act: 'f16' } }, source).code).toMatch(/^enable f16;\n/);
    const both = files({ 'k.wgsl': 'enable f16;\nalias Act = f32;\nalias Pair = vec2<f16>;\n' });
    expect(linkShader({ entry: 'k.wgsl', aliases: { Act: 'f16' } }, both).code.match(/enable f16;/g)).toHaveLength(1);
  });

  test('overrides are reported', () => {
    expect([...linkShader({ entry: 'k.wgsl' }, source).overrides]).toEqual([
      ['COLS', { hasDefault: false }],
      ['SCALE', { hasDefault: true }],
    ]);
  });

  test.each([
    ['an unknown constant', { constants: { ROW: 1 } }, 'no const ROW'],
    ['a constant of a function', { constants: { LOCAL: 1 } }, 'no const LOCAL'],
    ['a constant of a comment', { constants: { OLD: 1 } }, 'no const OLD'],
    ['a name that every object has', { constants: { toString: 1 } }, 'no const toString'],
    ['an unknown alias', { aliases: { Acc: 'f32' } }, 'no alias Acc'],
    ['a constant without end', { constants: { ROWS: Number.POSITIVE_INFINITY } }, 'cannot be Infinity'],
  ])('%s is refused', (_, choice, message) => {
    expect(kernelError(() => linkShader({ entry: 'k.wgsl', ...choice }, source))).toContain(message);
  });
});

test('directives of all modules come first, once each, and leave their lines behind', () => {
  const { code, lineMap } = linkShader(
    { entry: 'a.wgsl' },
    files({
      'a.wgsl': 'enable   subgroups;\nrequires packed_4x8_integer_dot_product;\n// #import "b.wgsl"\nfn a() {}\n',
      'b.wgsl': '// header\r\nenable subgroups;\r\ndiagnostic(off, subgroup_uniformity);\r\nfn b() {}\r\n',
    }),
  );
  const lines = code.split('\n');
  expect(lines.slice(0, 3)).toEqual([
    'enable subgroups;',
    'diagnostic(off, subgroup_uniformity);',
    'requires packed_4x8_integer_dot_product;',
  ]);
  expect(lines.slice(3).join('\n')).not.toMatch(/enable|requires|diagnostic/);
  expect(lineMap[lines.indexOf('fn a() {}')]).toEqual({ file: 'a.wgsl', line: 4 });
  expect(lineMap[lines.indexOf('fn b() {}')]).toEqual({ file: 'b.wgsl', line: 4 });
});

test('compiler messages point into the files', () => {
  const shader = linkShader({ entry: 'ops/top.wgsl' }, DIAMOND);
  const lineNum = shader.code.split('\n').indexOf('fn left() { base(); }') + 1;
  const { message, details } = compileError('top', shader, [
    { type: 'warning', message: 'unimportant', lineNum: 1, linePos: 1 },
    { type: 'error', message: 'no such function', lineNum, linePos: 13 },
    { type: 'error', message: 'and all in all wrong', lineNum: 0, linePos: 0 },
  ]);
  expect(message).toContain('lib/left.wgsl:2:13: no such function\n  fn left() { base(); }\n              ^');
  expect(message).toContain('and all in all wrong');
  expect(message).not.toContain('unimportant');
  expect(details).toMatchObject({ file: 'lib/left.wgsl', line: 2 });
});

test('a kernel is called by what chooses it', () => {
  expect(describeKernel({ entry: 'ops/x.wgsl' })).toBe('ops/x.wgsl');
  const swaps = { 'quant/q4_0.wgsl': 'quant/q8_0.wgsl' };
  const source = {
    entry: 'ops/x.wgsl',
    swaps,
    constants: { TILE: 4 },
    aliases: { Act: 'f16' },
    overrides: { COLS: 96 },
  };
  expect(describeKernel(source)).toBe('ops/x.wgsl (quant/q8_0.wgsl, Act=f16, TILE=4, COLS=96)');
});
