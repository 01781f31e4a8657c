/** A loaded model with everything that answers need: tokenizer, chat template, serving core. */
import { Engine } from '../engine/engine';
import type { LoadedModel } from '../model/load_model';
import { type ChatTemplate, chatTemplate } from '../tokenizer/chat_template';
import { createTokenizer, type Tokenizer } from '../tokenizer/tokenizer';
import type { Backend, ModelInfo } from './protocol';

export class ActiveModel {
  readonly info: ModelInfo;
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  readonly engine: Engine;
  readonly #loaded: LoadedModel;
  #users = 0;
  #retired = false;

  /** Takes over `loaded`, and frees it when its tokenizer or template cannot be used. */
  constructor(loaded: LoadedModel, backend: Backend) {
    try {
      this.tokenizer = createTokenizer(loaded.gguf);
      this.template = chatTemplate(loaded.gguf, this.tokenizer);
    } catch (error) {
      loaded.dispose();
      throw error;
    }
    this.#loaded = loaded;
    this.engine = new Engine(loaded.runner);
    this.info = describe(loaded, backend);
  }

  get contextLength(): number {
    return this.info.contextLength;
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
    this.engine.dispose();
    this.#loaded.dispose();
  }

  #disposeWhenIdle(): void {
    if (this.#retired && this.#users === 0) this.dispose();
  }
}

function describe({ description, adapter }: LoadedModel, backend: Backend): ModelInfo {
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
  };
}
