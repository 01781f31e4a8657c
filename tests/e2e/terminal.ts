import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'vite';
import { SWIFTSHADER } from './browser';

/** Runs `tessera generate … --json`, built from the sources as they are, on the driver that the browser uses too; returns the text. */
export async function generateInTerminal(args: readonly string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'tessera-terminal-'));
  try {
    await build({ mode: 'cli', logLevel: 'error', build: { outDir: join(folder, 'dist') } });
    for (const part of ['package.json', 'bin']) cpSync(part, join(folder, part), { recursive: true });
    symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [join(folder, 'bin/tessera.js'), 'generate', ...args, '--json'],
      { env: { ...process.env, VK_ICD_FILENAMES: SWIFTSHADER, VK_DRIVER_FILES: SWIFTSHADER } },
    );
    const { text } = JSON.parse(stdout) as { text: string };
    return text;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
