import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { importCycles, importGraph, importSpecifiers } from '../support/import_graph';

/** The line of docs/architecture.md, bottom floor first; `index` is src/index.ts. */
const FLOORS = /^pages · .*$/m
  .exec(readFileSync('docs/architecture.md', 'utf8'))?.[0]
  .replace(/\.$/, '')
  .split(' · ')
  .map((floor) => floor.split(', '))
  .reverse();

/** The room of a file below src, by its folder. */
function roomOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : file.replace(/\.ts$/, '');
}

/** What is wrong with an import from one file to another, or undefined. */
function fault(floors: readonly (readonly string[])[], from: string, to: string): string | undefined {
  const [room, imported] = [roomOf(from), roomOf(to)];
  if (room === imported) return undefined;
  const floor = floors.findIndex((rooms) => rooms.includes(room));
  const below = floors.findIndex((rooms) => rooms.includes(imported));
  if (below === -1) return `${from} imports ${to}, which is in no room of docs/architecture.md`;
  if (below < floor) return undefined;
  return `${from} imports ${to}: ${room} is ${below === floor ? 'on the same floor as' : 'below'} ${imported}`;
}

describe('src', () => {
  const floors = FLOORS ?? [];
  const graph = importGraph('src');

  test('every file is in a room with a floor', () => {
    expect(floors.flat()).toContain('engine');
    const homeless = [...graph.keys()].filter((file) => !floors.flat().includes(roomOf(file)));
    expect(homeless).toEqual([]);
  });

  test('every relative import finds its file', () => {
    const missing = [...graph].flatMap(([file, imports]) =>
      imports
        .filter((path) => !graph.has(path) && !/\.(css|wgsl)$/.test(path))
        .map((path) => `${file} imports ${path}`),
    );
    expect(missing).toEqual([]);
  });

  test('imports point into the same room or down', () => {
    const faults = [...graph].flatMap(([file, imports]) =>
      imports.map((path) => fault(floors, file, path) ?? []).flat(),
    );
    expect(faults).toEqual([]);
  });

  test('no files import each other in a circle', () => {
    expect(importCycles(graph).map((cycle) => cycle.join(' → '))).toEqual([]);
  });
});

describe('the check itself', () => {
  test('sees every way to import', () => {
    const text = `import { a } from './a';
import type {
  B,
} from "../b/b";
export * from './c';
export type { D } from '../d';
import './style.css';
const e = await import('./e');
import worker from './f?worker';
type G = import('../g/g').G;
import outside from 'comlink';`;
    expect(importSpecifiers(text)).toEqual(['./a', '../b/b', './c', '../d', './style.css', './e', './f', '../g/g']);
  });

  test('refuses upward and sideways imports, and finds circles', () => {
    const floors = [['errors'], ['gpu', 'storage'], ['model']];
    expect(fault(floors, 'model/a.ts', 'errors/index.ts')).toBeUndefined();
    expect(fault(floors, 'gpu/a.ts', 'gpu/b.ts')).toBeUndefined();
    expect(fault(floors, 'gpu/a.ts', 'model/b.ts')).toContain('gpu is below model');
    expect(fault(floors, 'gpu/a.ts', 'storage/b.ts')).toContain('same floor');
    const graph = new Map([
      ['a', ['b']],
      ['b', ['c', 'd']],
      ['c', ['d']],
      ['d', ['b']],
    ]);
    expect(importCycles(graph)[0]).toEqual(['b', 'c', 'd', 'b']);
    expect(
      importCycles(
        new Map([
          ['a', ['b']],
          ['b', []],
        ]),
      ),
    ).toEqual([]);
  });
});
