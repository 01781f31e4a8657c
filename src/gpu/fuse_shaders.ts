/** Horizontal fusion: two kernels as one shader, in which a workgroup runs one or the other (KernelBeside). */
import { KernelError } from '../errors';
import type { LinkedShader } from './linker';
import { blankComments, type ModuleItem, moduleDirectives, moduleItems } from './wgsl_scan';

/** Ends the names of what the second kernel has for itself. */
const OWN = '_beside';
/** The override with the number of the first kernel's workgroups along x. */
const FIRST_GROUPS = 'FIRST_KERNEL_GROUPS';

/** What a kernel may ask for: the rest counts workgroups that are not its own. */
const BUILTINS: Readonly<Record<string, string>> = {
  workgroup_id: 'vec3<u32>',
  num_workgroups: 'vec3<u32>',
  local_invocation_id: 'vec3<u32>',
  local_invocation_index: 'u32',
  subgroup_id: 'u32',
  subgroup_size: 'u32',
  subgroup_invocation_id: 'u32',
};

const ENTRY = /^\s*@compute\s*@workgroup_size\(([^)]*)\)\s*(fn\s+main\s*\()((?:[^()]|\([^()]*\))*)\)/;
const PARAMETER = /^\s*@builtin\((\w+)\)\s*\w+\s*:\s*\S[^]*$/;

interface Entry {
  readonly workgroupSize: string;
  /** Builtins in the order of the parameters. */
  readonly builtins: readonly string[];
  /** The entry point as a plain function. */
  readonly text: string;
}

/** Values of the fused shader's overrides. */
export function fusedOverrides(
  first: Readonly<Record<string, number>>,
  second: Readonly<Record<string, number>>,
  firstGroups: number,
): Record<string, number> {
  const own = Object.entries(second).map(([name, value]) => [name + OWN, value] as const);
  return { ...first, ...Object.fromEntries(own), [FIRST_GROUPS]: firstGroups };
}

/**
 * One shader of two. What both declare alike and what depends on nothing that differs is there once (workgroup memory too); the second
 * kernel's other declarations get names of their own, its overrides among them. `bindings`: numbers of the second kernel's bindings
 * 0, 1, …; a variable that keeps its number and its declaration is one for both.
 * Throws KernelError where the workgroup sizes differ, or an entry point asks for a builtin that counts all workgroups.
 */
export function fuseShaders(first: LinkedShader, second: LinkedShader, bindings: readonly number[]): LinkedShader {
  const [a, b] = [first, second].map(({ code }) => blankComments(code));
  const shared = moduleItems(a);
  const rebound = moduleItems(b).map((item) => rebind(item, bindings));
  const own = ownNames(shared, rebound, second.overrides);
  const entries = [shared, rebound].map(entryOf);
  if (entries[0].workgroupSize !== entries[1].workgroupSize || own.has(entries[0].workgroupSize)) {
    throw new KernelError('kernels of different workgroup sizes cannot share a dispatch');
  }
  const directives = [...new Set([...moduleDirectives(a), ...moduleDirectives(b)].map(({ text }) => text))];
  const lines: { text: string; origin: LinkedShader['lineMap'][number] }[] = directives.map((text) => ({
    text,
    origin: undefined,
  }));
  const put = (text: string, from?: { readonly shader: LinkedShader; readonly line: number }): void => {
    for (const [i, line] of text.split('\n').entries()) {
      lines.push({ text: line, origin: from?.shader.lineMap[from.line - 1 + i] });
    }
  };
  for (const { name, text, line } of shared) {
    put(name === 'main' ? plainMain(entries[0], 'main_first') : text, { shader: first, line });
  }
  for (const { name, text, line } of rebound) {
    if (!own.has(name)) continue;
    const renamed = rename(name === 'main' ? plainMain(entries[1], 'main_second') : text, own);
    put(renamed, { shader: second, line });
  }
  put(entryPoint(entries[0], entries[1]));
  const overrides = new Map(first.overrides);
  for (const [name, value] of second.overrides) overrides.set(name + OWN, value);
  overrides.set(FIRST_GROUPS, { hasDefault: false });
  return {
    code: lines.map(({ text }) => text).join('\n'),
    lineMap: lines.map(({ origin }) => origin),
    overrides,
  };
}

function rebind(item: ModuleItem, bindings: readonly number[]): ModuleItem {
  const text = item.text.replace(/@binding\((\d+)\)/, (_, number: string) => `@binding(${bindings[Number(number)]})`);
  return { ...item, text };
}

/** Names whose meaning in the second shader differs from the first's: by their declaration, or by what that refers to. */
function ownNames(
  first: readonly ModuleItem[],
  second: readonly ModuleItem[],
  overrides: LinkedShader['overrides'],
): ReadonlySet<string> {
  const known = new Map(first.map(({ name, text }) => [name, normal(text)]));
  const own = new Set(
    second
      .filter(({ name, text }) => name === 'main' || overrides.has(name) || known.get(name) !== normal(text))
      .map(({ name }) => name),
  );
  const references = new Map(second.map(({ name, text }) => [name, identifiers(text)]));
  for (let before = -1; before !== own.size; ) {
    before = own.size;
    for (const [name, used] of references) {
      if (!own.has(name) && used.some((other) => own.has(other))) own.add(name);
    }
  }
  return own;
}

function normal(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}

/** Not what comes after a dot, nor parts of numbers. */
const IDENTIFIER = /(?<![.\w])[A-Za-z_]\w*/g;
/** Nor the members that a structure declares. */
const IDENTIFIER_IN_STRUCT = /(?<![.\w])[A-Za-z_]\w*(?![\w]|\s*:)/g;

function identifierOf(text: string): RegExp {
  return /^struct\b/.test(text) ? IDENTIFIER_IN_STRUCT : IDENTIFIER;
}

function identifiers(text: string): string[] {
  return [...text.matchAll(identifierOf(text))].map(([name]) => name);
}

function rename(text: string, own: ReadonlySet<string>): string {
  return text.replaceAll(identifierOf(text), (name) => (own.has(name) ? name + OWN : name));
}

function entryOf(items: readonly ModuleItem[]): Entry {
  const main = items.find(({ name }) => name === 'main')?.text ?? '';
  const match = ENTRY.exec(main);
  if (!match) throw new KernelError('a kernel that shares a dispatch has no entry point `main`');
  const [whole, workgroupSize, head, list] = match;
  const parameters = list.split(',').filter((parameter) => parameter.trim() !== '');
  const builtins = parameters.map((parameter) => {
    const builtin = PARAMETER.exec(parameter)?.[1] ?? '';
    if (Object.hasOwn(BUILTINS, builtin)) return builtin;
    throw new KernelError(`a kernel that shares a dispatch cannot take "${parameter.trim()}"`);
  });
  const plain = list.replaceAll(/@builtin\(\w+\)\s*/g, '');
  const lineBreaks = whole.slice(0, whole.indexOf(head)).replaceAll(/[^\n]/g, '');
  return { workgroupSize, builtins, text: `${lineBreaks}${head}${plain})${main.slice(whole.length)}` };
}

function plainMain(entry: Entry, name: string): string {
  return entry.text.replace(/fn\s+main\b/, `fn ${name}`);
}

/** Runs the function of the workgroup's kernel, which sees no workgroups but its own. */
function entryPoint(first: Entry, second: Entry): string {
  const builtins = [...new Set(['workgroup_id', 'num_workgroups', ...first.builtins, ...second.builtins])];
  const parameters = builtins.map((builtin) => `@builtin(${builtin}) ${builtin}: ${BUILTINS[builtin]}`);
  const call = (name: string, { builtins: wanted }: Entry, own: Readonly<Record<string, string>>): string =>
    `${name}(${wanted.map((builtin) => own[builtin] ?? builtin).join(', ')});`;
  const ofFirst = { num_workgroups: `vec3<u32>(${FIRST_GROUPS}, num_workgroups.yz)` };
  const ofSecond = {
    workgroup_id: `workgroup_id - vec3<u32>(${FIRST_GROUPS}, 0u, 0u)`,
    num_workgroups: `num_workgroups - vec3<u32>(${FIRST_GROUPS}, 0u, 0u)`,
  };
  return [
    `override ${FIRST_GROUPS}: u32;`,
    `@compute @workgroup_size(${first.workgroupSize})`,
    `fn main(${parameters.join(', ')}) {`,
    `  if (workgroup_id.x < ${FIRST_GROUPS}) {`,
    `    ${call('main_first', first, ofFirst)}`,
    '  } else {',
    `    ${call('main_second', second, ofSecond)}`,
    '  }',
    '}',
  ].join('\n');
}
