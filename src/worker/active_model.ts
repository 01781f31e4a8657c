import { Engine } from '../engine/engine';
import type { MetricsEvent } from '../engine/metrics';
import type { Runner } from '../engine/runner';
import { DeviceLostError, DisposedError } from '../errors';
import type { LoadedModel } from '../model/load_model';
import { AnswerFormats } from '../structured/answer_formats';
import type { ChatTemplate } from '../tokenizer/chat_template';
import { checkDraft } from '../tokenizer/draft_vocabulary';
import { loadTokenizer } from '../tokenizer/load_tokenizer';
import type { Tokenizer } from '../tokenizer/tokenizer';
import type { Backend, ModelInfo } from './protocol';

/** A device that is lost again within this time of its replacement is not coming back. */
const RECOVERY_WINDOW_MS = 60_000;

interface ActiveModelOptions {
  readonly backend: Backend;
  /** Loads the same model again, after its device was lost. */
  readonly reload: () => Promise<LoadedModel>;
  readonly draft?: LoadedModel;
  /** Loads the same draft model again, after its device was lost. */
  readonly reloadDraft?: () => Promise<LoadedModel>;
  readonly maxQueued?: number;
  readonly onMetrics?: (event: MetricsEvent) => void;
}

interface Texts {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
}

/** A loaded model with everything that answers need: tokenizer, chat template, serving core. */
export class ActiveModel {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  readonly engine: Engine;
  readonly formats: AnswerFormats;
  readonly #reload: () => Promise<LoadedModel>;
  readonly #reloadDraft: (() => Promise<LoadedModel>) | undefined;
  #draft: LoadedModel | undefined;
  #draftLoadedAt = Number.NEGATIVE_INFINITY;
  #loaded: LoadedModel;
  #recoveredAt = Number.NEGATIVE_INFINITY;
  #users = 0;
  #bandwidth: number | undefined;
  #retired = false;
  #disposed = false;

  private constructor(loaded: LoadedModel, texts: Texts, options: ActiveModelOptions) {
    const { backend, reload, draft, reloadDraft, maxQueued, onMetrics } = options;
    this.#loaded = loaded;
    this.#reload = reload;
    this.#reloadDraft = reloadDraft;
    this.tokenizer = texts.tokenizer;
    this.template = texts.template;
    this.formats = new AnswerFormats(texts.tokenizer, this.vocabSize);
    const recover = (error: DeviceLostError): Promise<Runner> => this.#recover(error);
    this.engine = new Engine(loaded.runner, {
      recover,
      draft: draft?.runner,
      maxQueued,
      onStep: onMetrics && ((metrics) => onMetrics({ type: 'step', ...metrics })),
      onRequest: onMetrics && ((metrics) => onMetrics({ type: 'request', ...metrics })),
    });
    this.info = describe(loaded, backend);
    if (draft) this.#keepDraft(draft);
  }

  /** Owns `loaded` and its draft from here on, also when its tokenizer or template cannot be used: then rejects with what they throw. */
  static async create(loaded: LoadedModel, options: ActiveModelOptions): Promise<ActiveModel> {
    const { draft } = options;
    try {
      if (draft) checkDraft(loaded, draft);
      const tokenizer = await loadTokenizer(loaded.gguf);
      // Jinja is a tenth of the worker: not loaded before there is a model.
      const { chatTemplate } = await import('../tokenizer/chat_template');
      return new ActiveModel(loaded, { tokenizer, template: chatTemplate(loaded.gguf, tokenizer) }, options);
    } catch (error) {
      loaded.dispose();
      draft?.dispose();
      throw error;
    }
  }

  /** A draft model was loaded too. */
  get drafts(): boolean {
    return this.#draft !== undefined;
  }

  /** Bytes a second that the model's GPU reads at best, measured once; undefined on the reference executor. Rejects like `measureStreamRead`. */
  async bandwidth(): Promise<number | undefined> {
    const { device } = this.#loaded;
    if (!device) return undefined;
    if (this.#bandwidth === undefined) {
      const { measureStreamRead } = await import('../gpu/micro_bench');
      this.#bandwidth = 1e9 * (await measureStreamRead(device));
    }
    return this.#bandwidth;
  }

  get vocabSize(): number {
    return this.#loaded.runner.limits.vocabSize;
  }

  /** Keeps the model alive for one answer; returns what ends that. */
  use(): () => void {
    this.#users++;
    return () => {
      this.#users--;
      this.#disposeWhenIdle();
    };
  }

  /** Frees the model as soon as the last answer that uses it has ended. */
  retire(): void {
    this.#retired = true;
    this.#disposeWhenIdle();
  }

  dispose(): void {
    this.#disposed = true;
    this.engine.dispose();
    this.#loaded.dispose();
    this.#draft?.dispose();
  }

  #disposeWhenIdle(): void {
    if (this.#retired && this.#users === 0 && !this.#disposed) this.dispose();
  }

  /** Its device may go without the model's, or with it. */
  #keepDraft(draft: LoadedModel): void {
    this.#draft = draft;
    void draft.lost.then(() => this.#replaceDraft()).catch(() => undefined);
  }

  /** A draft model that is gone costs speed, never an answer: when it cannot be had again, or is lost twice in a row, its place stays empty. */
  async #replaceDraft(): Promise<void> {
    if (this.#disposed || performance.now() - this.#draftLoadedAt < RECOVERY_WINDOW_MS) return;
    const again = await this.#reloadDraft?.().catch(() => undefined);
    if (!again) return;
    if (this.#disposed) return again.dispose();
    this.#draft?.dispose();
    this.#draftLoadedAt = performance.now();
    this.engine.replaceDraft(again.runner);
    this.#keepDraft(again);
  }

  /** A lost device is replaced once: the weights are loaded again, and answers that were under way go on. */
  async #recover(error: DeviceLostError): Promise<Runner> {
    if (performance.now() - this.#recoveredAt < RECOVERY_WINDOW_MS) {
      throw new DeviceLostError('the GPU was lost twice in a row; restart the browser', { cause: error });
    }
    this.#loaded.dispose();
    const again = await this.#reload();
    if (this.#disposed) {
      again.dispose();
      throw new DisposedError('the engine was disposed');
    }
    this.#loaded = again;
    // From here on and not from the loss: loading again may take longer than the window.
    this.#recoveredAt = performance.now();
    return again.runner;
  }
}

function describe({ description, adapter, warnings }: LoadedModel, backend: Backend): ModelInfo {
  const { name, architecture, parameters, contextLength, trainedContextLength, memory } = description;
  return {
    model: name,
    architecture,
    parameters,
    contextLength,
    trainedContextLength,
    backend,
    adapter,
    memory: { weights: memory.weights, kvCache: memory.kv, total: memory.total },
    warnings,
  };
}
