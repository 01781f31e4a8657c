import { byId } from './dom';

/** Calls back with a file that is dropped anywhere on the page, and shows that it may be. */
export function onFileDropped(callback: (file: File) => void): void {
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
    if (!holdsFile(event)) return;
    event.preventDefault();
    const file = event.dataTransfer?.files[0];
    if (file) callback(file);
  });
}
