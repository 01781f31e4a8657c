/** bin/tessera.js, around a command that writes more than a pipe holds. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tessera-executable-'));
  cpSync('bin', join(folder, 'bin'), { recursive: true });
  mkdirSync(join(folder, 'dist'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  const main = "export async function main() { process.stdout.write('x'.repeat(1e6)); return 3; }";
  writeFileSync(join(folder, 'dist/cli.js'), main);
});

afterAll(() => rmSync(folder, { recursive: true }));

it('writes everything into a pipe before it ends with the status of the command', async () => {
  const child = spawn(process.execPath, [join(folder, 'bin/tessera.js')]);
  const exit = once(child, 'exit');
  let bytes = 0;
  for await (const chunk of child.stdout) bytes += (chunk as Buffer).length;
  expect(bytes).toBe(1e6);
  expect((await exit)[0]).toBe(3);
});

it('ends without a word when its reader has left', async () => {
  const child = spawn(process.execPath, [join(folder, 'bin/tessera.js')]);
  const exit = once(child, 'exit');
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk.toString();
  });
  await once(child.stdout, 'data');
  child.stdout.destroy();
  expect((await exit)[0]).toBe(0);
  expect(complaint).toBe('');
});
