import {
  type CatalogueEntry,
  catalogue,
  deleteStoredModel,
  fitsDevice,
  listStoredModels,
  type StoredModel,
  storageUse,
} from '../../index';
import { button, byId, el } from './dom';
import { describeError } from './errors';
import { formatBytes } from './format';

/** A model of the hub that the reader asks for. */
export interface HubModel {
  readonly repository: string;
  readonly file?: string;
  readonly revision?: string;
  readonly hub?: string;
  readonly token?: string;
}

interface ListActions {
  readonly load: (model: HubModel) => void;
  readonly showError: (error: unknown) => void;
}

/** Lists what is suggested, and reads what is typed. */
export function startHubChoices({ load }: ListActions): void {
  const form = byId('repository-form', HTMLFormElement);
  const repository = byId('repository', HTMLInputElement);
  const token = byId('hub-token', HTMLInputElement);
  const withToken = (model: HubModel): HubModel => ({ ...model, token: token.value.trim() || undefined });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const model = parseRepository(repository.value);
    repository.setAttribute('aria-invalid', String(model === undefined));
    if (model) load(withToken(model));
    else repository.focus();
  });
  byId('catalogue', HTMLUListElement).append(...catalogue.filter(isChat).map((entry) => catalogueItem(entry, load)));
}

/** "owner/name", "owner/name@revision:file" or the address of its page. */
export function parseRepository(text: string): HubModel | undefined {
  const page =
    /^https:\/\/huggingface\.co\/([^/\s]+\/[^/\s?#]+)(?:\/(?:blob|resolve|tree)\/([^/\s]+)(?:\/([^\s?#]+))?)?/.exec(
      text.trim(),
    );
  if (page) return clean(page[1], page[2], page[3] && decodeURIComponent(page[3]));
  const typed = /^([\w.-]+\/[\w.-]+)(?:@([^\s:]+))?(?::(\S+))?$/.exec(text.trim());
  return typed ? clean(typed[1], typed[2], typed[3]) : undefined;
}

function clean(repository: string, revision: string | undefined, file: string | undefined): HubModel {
  return { repository, ...(revision ? { revision } : {}), ...(file ? { file } : {}) };
}

function isChat({ kind }: CatalogueEntry): boolean {
  return kind === 'chat';
}

function catalogueItem(entry: CatalogueEntry, load: (model: HubModel) => void): HTMLLIElement {
  const { name, repository, file, bytes, approximate, memoryBytes, licence } = entry;
  const fits = fitsDevice(entry);
  const size = `${approximate ? 'about ' : ''}${formatBytes(bytes)}`;
  const facts = `${size}, ${formatBytes(memoryBytes)} of memory, ${licence}`;
  const verdict = fits ? 'fits this device' : 'may be too large for this device';
  const item = el(
    'li',
    { class: fits ? 'model-item' : 'model-item too-large' },
    el('div', {}, el('strong', {}, name), el('span', { class: 'hint' }, `${facts}; ${verdict}`)),
  );
  const start = button('Load', () => load({ repository, file }), 'small-button');
  start.ariaLabel = `Load ${name}`;
  item.append(start);
  return item;
}

let listing = 0;

/** Shows what is stored in this browser; again after each change. Where it is called again meanwhile, the later call shows. */
export async function showStoredModels(actions: ListActions): Promise<void> {
  const call = ++listing;
  const section = byId('stored-section', HTMLElement);
  section.ariaBusy = 'true';
  const { models, note } = await readStored().catch((error: unknown) => ({
    models: [],
    note: `What is stored in this browser could not be read. ${describeError(error)}`,
  }));
  if (call !== listing) return;
  section.hidden = models.length === 0 && note === '';
  byId('stored-models', HTMLUListElement).replaceChildren(...models.map((model) => storedItem(model, actions)));
  byId('stored-note', HTMLElement).textContent = note;
  section.ariaBusy = 'false';
}

async function readStored(): Promise<{ readonly models: StoredModel[]; readonly note: string }> {
  const models = await listStoredModels();
  const use = models.length > 0 ? await storageUse().catch(() => undefined) : undefined;
  const note = use ? `${formatBytes(use.used)} used of ${formatBytes(use.quota)} that this browser allows.` : '';
  return { models, note };
}

function storedItem(model: StoredModel, actions: ListActions): HTMLLIElement {
  const { repository, file, revision, hub, bytes, storedBytes, complete } = model;
  const name = file?.split('/').pop() ?? repository.split('/')[1];
  const state = complete ? formatBytes(bytes) : `${formatBytes(storedBytes)} of ${formatBytes(bytes)}, unfinished`;
  const load = button(
    complete ? 'Load' : 'Go on',
    () => actions.load({ repository, file, revision, hub }),
    'small-button',
  );
  const remove = button('Delete', () => void deleteThen(model, remove, actions), 'small-button');
  load.ariaLabel = `${complete ? 'Load' : 'Go on with'} ${name}`;
  remove.ariaLabel = `Delete ${name}`;
  return el(
    'li',
    { class: 'model-item' },
    el('div', {}, el('strong', {}, name), el('span', { class: 'hint' }, `${repository}; ${state}`)),
    load,
    remove,
  );
}

async function deleteThen(model: StoredModel, pressed: HTMLButtonElement, actions: ListActions): Promise<void> {
  pressed.disabled = true;
  await deleteStoredModel(model).catch((error: unknown) => actions.showError(error));
  await showStoredModels(actions);
}
