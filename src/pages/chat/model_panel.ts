import {
  AbortedError,
  createEngine,
  type LoadProgress,
  type ModelFile,
  type ModelInfo,
  type ModelInput,
  type RepositoryOptions,
  type TesseraEngine,
} from '../../index';
import { byId, el } from './dom';
import { chosenFiles, modelOf } from './drop';
import { describeError } from './errors';
import { formatAdapter, formatBytes, formatCount, formatWhole } from './format';
import { type HubModel, showStoredModels, startHubChoices } from './model_lists';
import { Mosaic } from './mosaic';

const DEMO = { model: new URL('models/demo.q8_0.gguf', document.baseURI), name: 'the demo model' };

interface ModelToLoad {
  readonly model: ModelInput;
  readonly name: string;
  readonly from?: RepositoryOptions;
}

interface Loading {
  readonly name: string;
  readonly controller: AbortController;
}

/** Which model answers: loads the demo, files and repositories, shows progress and facts. A load that fails changes nothing. */
export class ModelPanel {
  readonly #dialog = byId('model-dialog', HTMLDialogElement);
  readonly #facts = byId('model-facts', HTMLElement);
  readonly #error = byId('model-error', HTMLElement);
  readonly #progress = byId('model-progress', HTMLElement);
  readonly #choices = byId('model-choices', HTMLElement);
  readonly #texts = [byId('model-progress-text', HTMLElement), byId('welcome-progress', HTMLElement)];
  readonly #mosaics = [
    new Mosaic(byId('model-mosaic', HTMLElement), 24, 2),
    new Mosaic(byId('welcome-mosaic', HTMLElement), 16, 3),
  ];
  readonly #notice = byId('model-notice', HTMLElement);
  readonly #lists = {
    load: (model: HubModel) => void this.loadFromHub(model),
    showError: (error: unknown) => this.#showError(describeError(error)),
  };
  readonly #onChange: () => void;
  #engine: TesseraEngine | undefined;
  #loading: Loading | undefined;
  #isDemo = false;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
    for (const input of [byId('model-file', HTMLInputElement), byId('model-folder', HTMLInputElement)]) {
      input.addEventListener('change', () => {
        const chosen = chosenFiles(input);
        input.value = ''; // So that choosing the same file again counts as a choice.
        if (chosen.length > 0) void this.loadFiles(Promise.resolve(chosen));
      });
    }
    startHubChoices(this.#lists);
    byId('model-demo', HTMLButtonElement).addEventListener('click', () => void this.loadDemo());
    byId('model-cancel', HTMLButtonElement).addEventListener('click', () => this.#loading?.controller.abort());
    byId('model-button', HTMLButtonElement).addEventListener('click', () => this.show());
  }

  get engine(): TesseraEngine | undefined {
    return this.#engine;
  }

  get loading(): boolean {
    return this.#loading !== undefined;
  }

  get isDemo(): boolean {
    return this.#isDemo;
  }

  show(): void {
    this.#showFacts();
    void showStoredModels(this.#lists);
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  async loadDemo(): Promise<void> {
    if (await this.#load(DEMO)) this.#became({ demo: true });
  }

  /** One file, the parts of a split one, or what a folder holds. */
  async loadFiles(files: Promise<readonly ModelFile[]>): Promise<void> {
    this.show();
    const found = await files.catch((error: unknown) => {
      this.#showError(`Could not read what was dropped. ${describeError(error)}`);
      return [];
    });
    const model = modelOf(found);
    if (model) await this.#loadAndClose(model);
  }

  async loadFromHub({ repository, ...from }: HubModel): Promise<void> {
    const name = from.file ? `${repository}: ${from.file}` : repository;
    await this.#loadAndClose({ model: repository, name, from });
  }

  async #loadAndClose(model: ModelToLoad): Promise<void> {
    if (await this.#load(model)) {
      this.#became({ demo: false });
      if (this.#notice.hidden) this.#dialog.close();
    }
    void showStoredModels(this.#lists);
  }

  #became({ demo }: { demo: boolean }): void {
    this.#isDemo = demo;
    this.#showFacts();
    this.#onChange();
  }

  async #load({ model, name, from }: ModelToLoad): Promise<boolean> {
    if (this.#loading) {
      this.#showError(`${this.#loading.name} is still loading; cancel it first.`);
      return false;
    }
    const controller = new AbortController();
    this.#loading = { name, controller };
    this.#error.hidden = true;
    this.#notice.hidden = true;
    this.#progress.hidden = false;
    this.#choices.hidden = true;
    this.#showProgress(name, { phase: 'header', loaded: 0, total: 0 });
    this.#onChange();
    const options = {
      ...from,
      signal: controller.signal,
      onProgress: (progress: LoadProgress) => this.#showProgress(name, progress),
    };
    try {
      if (this.#engine) await this.#engine.load(model, options);
      else this.#engine = await createEngine({ model, ...options });
      return true;
    } catch (error) {
      if (!(error instanceof AbortedError)) this.#failed(name, error);
      return false;
    } finally {
      this.#loading = undefined;
      this.#progress.hidden = true;
      this.#choices.hidden = false;
      for (const text of this.#texts) text.textContent = '';
      for (const mosaic of this.#mosaics) mosaic.show(this.#engine ? 1 : 0);
      this.#onChange();
    }
  }

  #failed(name: string, error: unknown): void {
    const previous = this.#engine ? ` ${this.#engine.info.model} still answers.` : '';
    this.#showError(`Could not load ${name}. ${describeError(error, name)}${previous}`);
  }

  #showError(message: string): void {
    this.#error.textContent = message;
    this.#error.hidden = false;
    this.show();
  }

  #showProgress(name: string, { phase, loaded, total, notice }: LoadProgress): void {
    if (notice !== undefined) {
      this.#notice.textContent = notice;
      this.#notice.hidden = false;
      return;
    }
    const fraction =
      (phase === 'weights' || phase === 'download') && total > 0
        ? loaded / total
        : phase === 'tune' || phase === 'compile'
          ? 1
          : 0;
    const text = {
      header: `Reading the header of ${name}…`,
      download: `Downloading ${name}: ${formatBytes(loaded)} of ${formatBytes(total)}`,
      weights: `Loading ${name}: ${formatBytes(loaded)} of ${formatBytes(total)}`,
      tune: 'Measuring which kernels are fastest on this GPU…',
      compile: 'Preparing the GPU…',
    }[phase];
    for (const mosaic of this.#mosaics) mosaic.show(fraction, phase === 'tune' || phase === 'compile');
    for (const element of this.#texts) element.textContent = text;
  }

  #showFacts(): void {
    const info = this.#engine?.info;
    const rows = info ? factsOf(info) : [['Model', this.#loading ? 'loading…' : 'none']];
    this.#facts.replaceChildren(...rows.flatMap(([term, value]) => [el('dt', {}, term), el('dd', {}, value)]));
  }
}

function factsOf(info: ModelInfo): string[][] {
  const { contextLength, trainedContextLength } = info;
  const trained = trainedContextLength === contextLength ? '' : `, trained for ${formatWhole(trainedContextLength)}`;
  return [
    ['Model', info.model],
    ['Architecture', info.architecture],
    ['Parameters', formatCount(info.parameters)],
    ['Context', `${formatWhole(contextLength)} tokens${trained}`],
    ['Memory', `${formatBytes(info.memory.total)} (weights ${formatBytes(info.memory.weights)})`],
    ['Runs on', formatAdapter(info)],
  ];
}
