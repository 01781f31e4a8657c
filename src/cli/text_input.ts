import { readFile } from 'node:fs/promises';
import { SourceError } from '../errors';

/** Reads a text file (UTF-8). Rejects with SourceError naming it. */
export async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new SourceError(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
