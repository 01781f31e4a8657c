import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { TextStore } from '../storage/text_store';

/** Texts as files in the user's cache folder ($XDG_CACHE_HOME or ~/.cache). */
export function fileTextStore(
  folder = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'tessera'),
): TextStore {
  const pathOf = (name: string): string =>
    join(folder, `${createHash('sha256').update(name).digest('hex').slice(0, 32)}.json`);
  return {
    read: (name) => readFile(pathOf(name), 'utf8').catch(() => undefined),
    async write(name, text) {
      const path = pathOf(name);
      const temporary = `${path}.${process.pid}`;
      try {
        await mkdir(folder, { recursive: true });
        await writeFile(temporary, text);
        await rename(temporary, path);
      } catch {
        // A read-only home: the next run measures again.
      }
    },
  };
}
