import { KernelError } from '../errors';
import type { KernelSource } from './kernel';
import { blankComments, type Declaration, moduleDeclarations, moduleDirectives } from './wgsl_scan';

/** Where a line of linked code was written. Lines count from 1. */
interface SourceLine {
  readonly file: string;
  readonly line: number;
}

export interface LinkedShader {
  /** WGSL: directives first, then every imported module before the one that imports it. */
  readonly code: string;
  /** `lineMap[i]` is the origin of line i + 1 of `code`; undefined for a line that the linker made. */
  readonly lineMap: readonly (SourceLine | undefined)[];
  /** Names of the module-scope `override`s, and whether each has a default. */
  readonly overrides: ReadonlyMap<string, { readonly hasDefault: boolean }>;
}

/** The part of a KernelSource that the text depends on. */
export type ShaderText = Omit<KernelSource, 'overrides' | 'beside'>;

const IMPORT = /^\s*\/\/\s*#import\b(.*)$/;
const IMPORT_PATH = /^\s+"([^"]+)"\s*$/;

/**
 * Turns a kernel's source into one WGSL text: resolves `// #import "path"` lines (each module once, swaps applied), replaces the
 * initialisers of `const`s and the targets of `alias`es, hoists directives. The files are plain WGSL and parse as they stand.
 * Throws KernelError for a missing module, an import cycle, and names of swaps, constants or aliases that the shader lacks.
 */
export function linkShader(source: ShaderText, modules: ReadonlyMap<string, string>): LinkedShader {
  return new Linker(source, modules).link();
}

class Linker {
  private readonly directives = new Map<string, SourceLine | undefined>();
  private readonly body: { readonly text: string; readonly origin: SourceLine }[] = [];
  private readonly overrides = new Map<string, { readonly hasDefault: boolean }>();
  private readonly done = new Set<string>();
  private readonly known = { swap: new Set<string>(), const: new Set<string>(), alias: new Set<string>() };

  constructor(
    private readonly source: ShaderText,
    private readonly modules: ReadonlyMap<string, string>,
  ) {}

  link(): LinkedShader {
    this.include(this.source.entry, []);
    this.requireKnown('swap', this.source.swaps);
    this.requireKnown('const', this.source.constants);
    this.requireKnown('alias', this.source.aliases);
    return {
      code: [...this.directives.keys(), ...this.body.map(({ text }) => text)].join('\n'),
      lineMap: [...this.directives.values(), ...this.body.map(({ origin }) => origin)],
      overrides: this.overrides,
    };
  }

  private include(file: string, importers: readonly string[]): void {
    if (importers.includes(file)) {
      throw this.error(`import cycle ${[...importers.slice(importers.indexOf(file)), file].join(' → ')}`);
    }
    if (this.done.has(file)) return;
    this.done.add(file);
    const text = this.modules.get(file)?.replaceAll('\r\n', '\n');
    if (text === undefined) {
      const importer = importers.at(-1);
      throw this.error(
        `there is no shader file "${file}"${importer === undefined ? '' : `, which ${importer} imports`}`,
      );
    }
    for (const path of this.importsOf(file, text)) {
      this.known.swap.add(path);
      this.include(ownValue(this.source.swaps, path) ?? path, [...importers, file]);
    }
    for (const [index, line] of this.rewrite(file, text).split('\n').entries()) {
      this.body.push({ text: line, origin: { file, line: index + 1 } });
    }
  }

  private importsOf(file: string, text: string): string[] {
    const paths: string[] = [];
    for (const [index, line] of text.split('\n').entries()) {
      const statement = IMPORT.exec(line);
      if (!statement) continue;
      const path = IMPORT_PATH.exec(statement[1])?.[1];
      if (path === undefined)
        throw this.error(`${file}:${index + 1}: expected // #import "path", found ${line.trim()}`);
      paths.push(path);
    }
    return paths;
  }

  /** Moves directives out and puts new values in, without changing the number of lines. */
  private rewrite(file: string, text: string): string {
    const code = blankComments(text);
    const edits: { readonly start: number; readonly end: number; readonly replacement: string }[] = [];
    for (const { start, end, text: directive } of moduleDirectives(code)) {
      const line = text.slice(0, start).split('\n').length;
      if (!this.directives.has(directive)) this.directives.set(directive, { file, line });
      edits.push({ start, end, replacement: '' });
    }
    for (const declaration of moduleDeclarations(code)) {
      const { keyword, name, value } = declaration;
      if (keyword === 'override') this.overrides.set(name, { hasDefault: value !== undefined });
      if (keyword === 'override' || value === undefined) continue;
      this.known[keyword].add(name);
      const old = code.slice(value.start, value.end);
      const replacement = this.replacement(declaration, old);
      if (keyword === 'alias' && /\bf16\b/.test(replacement ?? old)) this.enableF16();
      if (replacement !== undefined) edits.push({ ...value, replacement });
    }
    let out = text;
    for (const { start, end, replacement } of edits.sort((a, b) => b.start - a.start)) {
      const lineBreaks = out.slice(start, end).replaceAll(/[^\n]/g, '');
      out = out.slice(0, start) + replacement + lineBreaks + out.slice(end);
    }
    return out;
  }

  private replacement({ keyword, name, type }: Declaration, old: string): string | undefined {
    if (keyword === 'alias') return ownValue(this.source.aliases, name);
    const value = ownValue(this.source.constants, name);
    if (value === undefined) return undefined;
    if (typeof value === 'number' && !Number.isFinite(value)) {
      throw this.error(`constant ${name} cannot be ${value}`);
    }
    // Without a written type the literal's suffix is the type: `const TILE = 4u;` stays a u32.
    const suffix = type === undefined && typeof value === 'number' ? literalSuffix(old) : '';
    return `${value}${suffix}`;
  }

  private enableF16(): void {
    if (!this.directives.has('enable f16;')) this.directives.set('enable f16;', undefined);
  }

  private requireKnown(kind: 'swap' | 'const' | 'alias', given: Readonly<Record<string, unknown>> | undefined): void {
    for (const name of Object.keys(given ?? {})) {
      if (this.known[kind].has(name)) continue;
      const reason = kind === 'swap' ? `nothing imports "${name}", which is swapped` : `there is no ${kind} ${name}`;
      const names = [...this.known[kind]].sort().join(', ');
      throw this.error(`${reason}; there ${kind === 'swap' ? 'are imports of' : 'are'}: ${names || 'none'}`);
    }
  }

  private error(message: string): KernelError {
    return new KernelError(`shader ${this.source.entry}: ${message}`, { details: { entry: this.source.entry } });
  }
}

function literalSuffix(literal: string): string {
  const match = /^(?:0[xX][\da-fA-F]+|\d+)([ui])$|^[\d.]+(?:[eE][-+]?\d+)?([fh])$/.exec(literal);
  return match?.[1] ?? match?.[2] ?? '';
}

function ownValue<T>(record: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined;
}
