import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { WgslReflect } from 'wgsl_reflect/wgsl_reflect.module.js';
import { linkShader } from '../../../src/gpu/linker';
import { allShaderSources, shaderSources } from '../../../src/gpu/shader_sources';

const files = readdirSync('shaders', { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.wgsl'))
  .sort();

/** wgsl_reflect 1.6 takes `block`, a plain identifier, for a keyword, and knows no subgroup matrices. */
function parse(text: string): WgslReflect {
  const known = text
    .replaceAll(/\bblock\b/g, 'block_')
    .replaceAll(/\bsubgroup_matrix_\w+<[^>]*>/g, 'f32')
    .replaceAll(/\b(subgroupMatrix\w+)<[^>]*>\(/g, '$1(');
  return new WgslReflect(known);
}

const sources = await allShaderSources();

test('the package knows every shader file', () => {
  expect([...sources.keys()].sort()).toEqual(files);
});

test('what is loaded at once links by itself', async () => {
  const common = await shaderSources([]);
  expect(common.size).toBeGreaterThan(30);
  expect(common.size).toBeLessThan(files.length);
  for (const entry of common.keys()) expect(() => linkShader({ entry }, common), entry).not.toThrow();
});

describe.each(files)('%s', (file) => {
  const text = readFileSync(join('shaders', file), 'utf8');

  test('is plain WGSL that parses as it stands', () => {
    expect(() => parse(text)).not.toThrow();
  });

  test('says at its head what it is', () => {
    expect(text).toMatch(/^\/\/ \S/);
  });

  test('uses nothing that other implementations lack', () => {
    // naga has neither; both would go unnoticed on Dawn.
    expect(text).not.toMatch(/ptr<\s*(workgroup|storage)/);
    if (/\bsubgroup[A-Z]\w*\s*\(/.test(text)) expect(text).toMatch(/^enable subgroups;/m);
  });

  if (file.startsWith('ops/')) {
    test('has one entry point `main` and bindings 0, 1, … of group 0 once linked', () => {
      const reflected = parse(linkShader({ entry: file }, sources).code);
      expect(reflected.entry.compute.map(({ name }) => name)).toEqual(['main']);
      const groups = reflected.getBindGroups();
      expect(groups.length).toBeLessThanOrEqual(1);
      for (const [binding, variable] of (groups[0] ?? []).entries())
        expect(variable, `binding ${binding}`).toBeDefined();
    });
  }
});
