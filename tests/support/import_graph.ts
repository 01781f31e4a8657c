import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';

/** Relative imports and re-exports, type imports included, and `import()` of a literal. */
const SPECIFIER = /(?:\bfrom\s*|\bimport\s*\(?\s*)(['"])(\.[^'"\n]*)\1/g;

/** The relative imports that a TypeScript file names, without query strings. */
export function importSpecifiers(text: string): string[] {
  return [...text.matchAll(SPECIFIER)].map(([, , specifier]) => specifier.split('?')[0]);
}

/** Every TypeScript file below `root` with the files that it imports, as paths relative to `root` with forward slashes. */
export function importGraph(root: string): Map<string, string[]> {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => path.endsWith('.ts'))
    .sort();
  const known = new Set(files);
  return new Map(
    files.map((file) => {
      const imports = importSpecifiers(readFileSync(join(root, file), 'utf8'))
        .map((specifier) => posix.join(dirname(file), specifier))
        .map((path) => [path, `${path}.ts`, `${path}/index.ts`].find((candidate) => known.has(candidate)) ?? path);
      return [file, [...new Set(imports)]];
    }),
  );
}

/** One import cycle of each group of files that import each other, as a path that ends where it begins. */
export function importCycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const cycles: string[][] = [];
  const finished = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const start = path.indexOf(file);
    if (start !== -1) {
      cycles.push([...path.slice(start), file]);
      return;
    }
    if (finished.has(file)) return;
    path.push(file);
    for (const imported of graph.get(file) ?? []) visit(imported);
    path.pop();
    finished.add(file);
  };
  for (const file of graph.keys()) visit(file);
  return cycles;
}
