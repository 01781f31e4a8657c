import { isUtf8 } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import { SourceError } from '../errors';
import { messageOf } from '../errors/message_of';
import { notice } from './output';

/** Reads a text file (UTF-8). Bytes that are none become U+FFFD, with a notice. Rejects with SourceError naming the file. */
export async function readText(path: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new SourceError(`${path}: ${messageOf(error)}`, { cause: error });
  }
  if (!isUtf8(bytes)) notice(`${path}: not UTF-8 throughout; what is not is read as U+FFFD`);
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
}
