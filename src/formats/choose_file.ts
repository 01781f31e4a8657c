/** Which file of a folder or repository is the model. */
import { InvalidFileError, OutOfMemoryError, UnsupportedModelError } from '../errors';
import { splitPaths } from './gguf/split_paths';

export interface ListedFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

export interface ChosenFile {
  /** A .gguf file (of several parts, the first), a .safetensors file, or the index of several. */
  readonly path: string;
  /** Bytes of all parts. */
  readonly bytes: number;
}

/** Best first: small and good, then plain, then large ones, then what loses much. */
const QUANTISATIONS: readonly string[] = [
  'Q4_K_M',
  'Q4_0',
  'Q8_0',
  'Q4_K_S',
  'Q5_K_M',
  'Q5_K_S',
  'Q6_K',
  'MXFP4',
  'IQ4_NL',
  'IQ4_XS',
  'Q4_1',
  'Q5_0',
  'Q5_1',
  'Q3_K_L',
  'Q3_K_M',
  'Q3_K_S',
  'Q2_K',
  'F16',
  'BF16',
  'F32',
];
const LABEL = new RegExp(`(?:^|[-._/])(${QUANTISATIONS.join('|')})(?=[-._/]|$)`, 'gi');
/** Parts of a model that is not a language model's weights. */
const OTHER_GGUF = /(?:^|[/.-])(?:mmproj|imatrix)/i;
/** What a model takes beside its file: KV cache, activations, and planes that are a little larger than blocks. */
const EXTRA_FRACTION = 0.1;
const EXTRA_BYTES = 200 << 20;

/** Bytes that running a model of so many bytes takes, roughly; the exact number needs its header. */
export function estimateMemory(fileBytes: number): number {
  return Math.ceil(fileBytes * (1 + EXTRA_FRACTION)) + EXTRA_BYTES;
}

/**
 * The best GGUF file that fits into `budget` bytes, by its quantisation; where there is none, the safetensors. Throws
 * UnsupportedModelError when there is no model, OutOfMemoryError with the numbers when none fits, InvalidFileError naming a missing part.
 */
export function chooseModelFile(
  folder: string,
  files: readonly ListedFile[],
  budget: number = Number.POSITIVE_INFINITY,
): ChosenFile {
  const ggufs = ggufModels(folder, files);
  if (ggufs.length === 0) {
    const checkpoint = checkpointOf(files);
    if (checkpoint) return checkpoint;
    const found = files.length > 0 ? ` (it has ${shortList(files.map(({ path }) => path))})` : '';
    throw new UnsupportedModelError(`${folder}: no .gguf file and no safetensors with a config.json${found}`);
  }
  const ranked = [...ggufs].sort((a, b) => rank(a.path) - rank(b.path) || a.bytes - b.bytes || compare(a.path, b.path));
  const best = ranked.find(({ bytes }) => estimateMemory(bytes) <= budget);
  if (best) return best;
  const smallest = ranked.reduce((a, b) => (b.bytes < a.bytes ? b : a));
  throw new OutOfMemoryError(
    `${folder}: its smallest file, ${smallest.path}, needs about ${estimateMemory(smallest.bytes)} bytes, this device is taken to have ${budget}; name a file to try it nevertheless`,
    { details: { file: smallest.path, bytes: estimateMemory(smallest.bytes), budget } },
  );
}

function ggufModels(folder: string, files: readonly ListedFile[]): ChosenFile[] {
  const sizes = new Map(files.map(({ path, size }) => [path, size]));
  const models: ChosenFile[] = [];
  for (const { path, size } of files) {
    if (!/\.gguf$/i.test(path) || OTHER_GGUF.test(path)) continue;
    const parts = splitPaths(path);
    if (!parts) models.push({ path, bytes: size });
    else if (path === parts.find((part) => sizes.has(part))) {
      const missing = parts.find((part) => !sizes.has(part));
      if (missing !== undefined) {
        throw new InvalidFileError(`${folder}: ${missing} is missing beside ${path}`, { details: { file: missing } });
      }
      models.push({ path: parts[0], bytes: parts.reduce((sum, part) => sum + (sizes.get(part) ?? 0), 0) });
    }
  }
  return models;
}

function checkpointOf(files: readonly ListedFile[]): ChosenFile | undefined {
  const directory = (path: string): string => path.slice(0, path.lastIndexOf('/') + 1);
  const configs = files.filter(({ path }) => /(?:^|\/)config\.json$/.test(path)).map(({ path }) => directory(path));
  // Variants may lie in folders of their own; the one at the top is the model.
  for (const place of configs.sort((a, b) => a.length - b.length || compare(a, b))) {
    const here = files.filter(({ path }) => directory(path) === place && /\.safetensors(?:\.index\.json)?$/.test(path));
    const index = here.find(({ path }) => path.endsWith('model.safetensors.index.json'));
    const weights = here.filter(({ path }) => path.endsWith('.safetensors'));
    const bytes = weights.reduce((sum, { size }) => sum + size, 0);
    const single = weights.find(({ path }) => path === `${place}model.safetensors`) ?? weights[0];
    if (single && weights.length === 1) return { path: single.path, bytes };
    if (index) return { path: index.path, bytes };
    if (single?.path === `${place}model.safetensors`) return { path: single.path, bytes: single.size };
  }
  return undefined;
}

/** Place in the list of quantisations, by the last label in the name. */
function rank(path: string): number {
  const label = [...path.matchAll(LABEL)].pop()?.[1].toUpperCase();
  return label === undefined ? QUANTISATIONS.length : QUANTISATIONS.indexOf(label);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function shortList(paths: readonly string[]): string {
  const shown = paths.slice(0, 8).join(', ');
  return paths.length > 8 ? `${shown} and ${paths.length - 8} more` : shown;
}
