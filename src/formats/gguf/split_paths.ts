const SPLIT_NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i;
/** Hugging Face's files are at most 50 GB: nothing that a browser could run has more parts. */
const MAX_PARTS = 1000;

/** The paths of all parts, given that of any one; undefined for a name that is no part's. */
export function splitPaths(path: string): string[] | undefined {
  const match = SPLIT_NAME.exec(path);
  if (!match) return undefined;
  const [, stem, index, count] = match;
  const parts = Number(count);
  if (parts < 1 || parts > MAX_PARTS || Number(index) < 1 || Number(index) > parts) return undefined;
  const extension = path.slice(-'.gguf'.length);
  return Array.from({ length: parts }, (_, i) => `${stem}-${String(i + 1).padStart(5, '0')}-of-${count}${extension}`);
}
