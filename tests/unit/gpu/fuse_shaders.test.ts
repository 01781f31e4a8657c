import { describe, expect, test } from 'vitest';
import { KernelError } from '../../../src/errors';
import { compileError } from '../../../src/gpu/compile_error';
import { fusedOverrides, fuseShaders } from '../../../src/gpu/fuse_shaders';
import { type LinkedShader, linkShader } from '../../../src/gpu/linker';

const MODULES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'lib/narrow.wgsl': '// Narrow.\nalias Vec = u32;\nfn total(v: Vec) -> u32 { return v; }\n',
    'lib/wide.wgsl': '// Wide.\nalias Vec = vec2<u32>;\nfn total(v: Vec) -> u32 { return v.x + v.y; }\n',
    'lib/shared.wgsl': 'fn twice(v: u32) -> u32 { return v * 2u; }\n',
    'ops/sum.wgsl': `// #import "lib/narrow.wgsl"
// #import "lib/shared.wgsl"
const WORKGROUP: u32 = 64u;
override OFFSET: u32 = 0u;
@group(0) @binding(0) var<storage, read> data: array<Vec>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
var<workgroup> parts: array<u32, WORKGROUP>;
struct Place { total: u32 }
fn place(group: u32) -> Place { return Place(group + OFFSET); }
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  parts[thread] = twice(total(data[thread]));
  if (id.x < count.x) { out[place(id.x).total] = parts[0]; }
}
`,
  }),
);
const first = linkShader({ entry: 'ops/sum.wgsl' }, MODULES);
const second = linkShader({ entry: 'ops/sum.wgsl', swaps: { 'lib/narrow.wgsl': 'lib/wide.wgsl' } }, MODULES);

function occurrences({ code }: LinkedShader, text: string): number {
  return code.split(text).length - 1;
}

describe('two kernels in one shader', () => {
  const fused = fuseShaders(first, second, [2, 1]);

  test('share what means the same to both, and their workgroup memory', () => {
    for (const text of ['fn twice(', 'var<workgroup> parts', 'var<storage, read_write> out', 'const WORKGROUP'])
      expect(occurrences(fused, text), text).toBe(1);
  });

  test('have what differs, and what depends on it, each for itself', () => {
    expect(fused.code).toContain('alias Vec = u32;');
    expect(fused.code).toContain('alias Vec_beside = vec2<u32>;');
    expect(fused.code).toContain('@binding(0) var<storage, read> data: array<Vec>;');
    expect(fused.code).toContain('@binding(2) var<storage, read> data_beside: array<Vec_beside>;');
    expect(fused.code).toContain('twice(total_beside(data_beside[thread]))');
    // Values of overrides are the pipeline's: both shaders have their own.
    expect(fused.code).toContain('fn place_beside(group: u32) -> Place { return Place(group + OFFSET_beside); }');
    // A member is no name of the module, whatever it is called.
    expect(fused.code).toContain('out[place_beside(id.x).total] = parts[0];');
    expect(fusedOverrides({ OFFSET: 1 }, { OFFSET: 2 }, 7)).toEqual({
      OFFSET: 1,
      OFFSET_beside: 2,
      FIRST_KERNEL_GROUPS: 7,
    });
    expect([...fused.overrides.keys()].sort()).toEqual(['FIRST_KERNEL_GROUPS', 'OFFSET', 'OFFSET_beside']);
  });

  test('are told by the workgroup, of which each sees its own alone', () => {
    expect(occurrences(fused, '@compute')).toBe(1);
    expect(fused.code).toContain('if (workgroup_id.x < FIRST_KERNEL_GROUPS) {');
    expect(fused.code).toMatch(/main_first\(workgroup_id, .*FIRST_KERNEL_GROUPS, num_workgroups\.yz\), local/);
    expect(fused.code).toMatch(/main_second_?\w*\(workgroup_id - .*, num_workgroups - .*, local_invocation_index\);/);
  });

  test('keep the places of their lines for messages', () => {
    const at = (text: string): number => fused.code.split('\n').findIndex((line) => line.includes(text)) + 1;
    const message = (lineNum: number) => [{ type: 'error', message: 'bad', lineNum, linePos: 1 }];
    expect(compileError('k', fused, message(at('alias Vec_beside'))).message).toContain('lib/wide.wgsl:2:1');
    expect(compileError('k', fused, message(at('parts[thread] ='))).message).toContain('ops/sum.wgsl:12:1');
    expect(fused.lineMap).toHaveLength(fused.code.split('\n').length);
  });

  test('that read the same buffer have one variable for it', () => {
    const same = fuseShaders(first, first, [0, 1]);
    expect(occurrences(same, 'var<storage')).toBe(2);
    const other = fuseShaders(first, first, [2, 1]);
    expect(other.code).toContain('@binding(2) var<storage, read> data_beside: array<Vec>;');
  });
});

test('kernels that cannot share a dispatch are refused', () => {
  const sized = (size: number): LinkedShader =>
    linkShader({ entry: 'ops/sum.wgsl', constants: { WORKGROUP: size } }, MODULES);
  expect(() => fuseShaders(sized(64), sized(128), [0, 1])).toThrow(KernelError);
  const counting = new Map([
    ['k.wgsl', '@compute @workgroup_size(64)\nfn main(@builtin(global_invocation_id) at: vec3<u32>) {}\n'],
  ]);
  const counts = linkShader({ entry: 'k.wgsl' }, counting);
  expect(() => fuseShaders(counts, counts, [])).toThrow('global_invocation_id');
});
