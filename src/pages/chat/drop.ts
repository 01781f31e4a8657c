import type { ModelFile } from '../../index';
import { byId } from './dom';

/** A folder with more files than this is no model. */
const MAX_FILES = 10_000;

/** Calls back with files and folders that are dropped anywhere on the page, and shows that they may be. */
export function onFilesDropped(callback: (files: Promise<ModelFile[]>) => void): void {
  const overlay = byId('drop-overlay', HTMLElement);
  const holdsFile = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false;
  document.addEventListener('dragover', (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    overlay.hidden = false;
  });
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) overlay.hidden = true;
  });
  document.addEventListener('drop', (event) => {
    overlay.hidden = true;
    if (!holdsFile(event) || !event.dataTransfer) return;
    event.preventDefault();
    // Asked for at once: the entries are gone when this event is over.
    const entries = [...event.dataTransfer.items].flatMap((item) => item.webkitGetAsEntry() ?? []);
    const plain = [...event.dataTransfer.files].map((file) => ({ path: file.name, file }));
    callback(entries.length > 0 ? filesOf(entries) : Promise.resolve(plain));
  });
}

/** Files that were chosen with an input, each with its path in the chosen folder. */
export function chosenFiles(input: HTMLInputElement): ModelFile[] {
  return [...(input.files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** What is loaded of files that were chosen or dropped, and what it is called: a file by itself, a folder, or several files. */
export function modelOf(files: readonly ModelFile[]): { model: File | readonly ModelFile[]; name: string } | undefined {
  const [first] = files;
  if (!first) return undefined;
  if (files.length === 1 && first.file instanceof File) return { model: first.file, name: first.file.name };
  const name = first.path.includes('/') ? first.path.split('/')[0] : `${files.length} files`;
  return { model: files, name };
}

async function filesOf(entries: readonly FileSystemEntry[]): Promise<ModelFile[]> {
  const found: ModelFile[] = [];
  const open = [...entries];
  for (let entry = open.pop(); entry && found.length < MAX_FILES; entry = open.pop()) {
    if (entry.isFile) {
      const { fullPath } = entry;
      const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
      found.push({ path: fullPath.replace(/^\//, ''), file });
    } else {
      open.push(...(await contents(entry as FileSystemDirectoryEntry)));
    }
  }
  return found;
}

async function contents(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    // Browsers hand over a hundred at a time.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}
