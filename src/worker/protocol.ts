/** What the SDK and an engine host say to each other. Everything here is structured-cloneable: it crosses the worker's edge. */

import type { OverflowSettings, OverflowUsage } from '../engine/context_overflow';
import type { DolaLayers } from '../engine/dola';
import type { EngineMetrics, MetricsEvent } from '../engine/metrics';
import type { SamplingSettings } from '../engine/runner';
import type { SpeculationUsage } from '../engine/speculation/speculator';
import type { SpeculationSettings } from '../engine/speculation/speculators';
import type { Strategy } from '../engine/strategies/strategy';
import type { QuantizeFormat } from '../formats/quantize_on_load';
import type { AdapterDescription, MaskableFeature } from '../gpu/capabilities';
import type { ActivationType, KvType } from '../ops/op';
import type { PickedFile } from '../storage/folder';
import type { RepositoryRef } from '../storage/hub/repository';
import type { StoredSession } from '../storage/store/session_store';
import type { ResponseFormat } from '../structured/response_format';

/** Where a model's bytes are. */
export type ModelSource =
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'blob'; readonly blob: Blob; readonly name: string }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array; readonly name: string }
  /** Files that were picked or dropped together; `file` names the model where there are several. */
  | { readonly kind: 'files'; readonly files: readonly PickedFile[]; readonly file?: string }
  | { readonly kind: 'repository'; readonly ref: RepositoryRef; readonly file?: string };

export type Backend = 'webgpu' | 'reference';

export interface LoadSettings {
  /** `auto`: WebGPU; where there is none, the reference executor if the model is tiny. */
  readonly backend: Backend | 'auto';
  /** Positions of one sequence; by default what the model was trained for, as far as memory allows. */
  readonly contextLength?: number;
  /** What K and V are kept as; by default f16. */
  readonly kvType?: KvType;
  /** What lies between kernels; by default f32. */
  readonly activationType?: ActivationType;
  /** Optional GPU features to do without. */
  readonly without?: readonly MaskableFeature[];
  /** Turns float weights into this format while they are loaded. */
  readonly quantize?: QuantizeFormat;
  /** A smaller model with the same vocabulary, which drafts. */
  readonly draft?: ModelSource;
  /** Requests that may wait; by default any number. */
  readonly maxQueued?: number;
  /** Whether the kernels' variants are measured; by default on everything but software adapters. */
  readonly tune?: boolean;
}

export interface LoadProgress {
  readonly phase: 'header' | 'download' | 'weights' | 'tune' | 'compile';
  /** Bytes in the phases `header`, `download` and `weights`, kernels in `compile`. */
  readonly loaded: number;
  readonly total: number;
  /** A sentence for the user: a download that cannot be kept, and why; a GPU that computes wrongly. */
  readonly notice?: string;
}

/** What is known of the model that answers. */
export interface ModelInfo {
  readonly model: string;
  readonly architecture: string;
  readonly parameters: number;
  /** Positions in use, and the number that the model was trained for. */
  readonly contextLength: number;
  readonly trainedContextLength: number;
  readonly backend: Backend;
  /** Undefined on the reference executor. */
  readonly adapter: AdapterDescription | undefined;
  /** Bytes that the weights and the KV cache occupy. */
  readonly memory: { readonly weights: number; readonly kvCache: number; readonly total: number };
  /** Sentences for people: why its answers are not to be trusted. Empty unless kernels were seen to compute wrongly on this GPU. */
  readonly warnings: readonly string[];
}

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string;
}

export interface ChatRequest {
  readonly messages: readonly ChatMessage[];
  /** By default as many as the context has room for. */
  readonly maxTokens?: number;
  /** The answer ends before the first occurrence of any of these. */
  readonly stop: readonly string[];
  readonly sampling: SamplingSettings;
  /** Answers to give, each with a seed of its own; absent: 1. */
  readonly n?: number;
  /** Absent: every answer is sampled token by token. */
  readonly strategy?: Strategy;
  /** With guidance: the chat that it leads away from. */
  readonly negativeMessages?: readonly ChatMessage[];
  readonly dola?: DolaLayers;
  /** What every answer must look like; absent: any text. */
  readonly format?: ResponseFormat;
  readonly priority?: number;
  /** Absent: with the draft model, where one was loaded. */
  readonly speculation?: Omit<SpeculationSettings, 'acceptance'> | 'off';
  /** Of guesses, whoever asked for them. */
  readonly acceptance?: SpeculationSettings['acceptance'];
  /** Chat and answer may outgrow the context; absent: they must not. */
  readonly contextOverflow?: OverflowSettings;
}

export interface TokenLogprob {
  readonly token: string;
  /** The token's UTF-8 bytes: a token may be a part of a character. */
  readonly bytes: readonly number[];
  readonly logprob: number;
}

export interface ScoredToken extends TokenLogprob {
  readonly top: readonly TokenLogprob[];
}

export interface ChatUsage {
  /** Once, however many answers there are. */
  readonly promptTokens: number;
  /** Of all answers together. */
  readonly completionTokens: number;
  /** Tokens of the prompt that the prefix cache had. */
  readonly cachedTokens: number;
  readonly speculative?: SpeculationUsage;
  /** Where the chat may outgrow the context; of the answer that lost most. */
  readonly overflow?: OverflowUsage;
  /** From the call to the first token, queueing included. */
  readonly timeToFirstTokenMs: number;
  readonly prefillMs: number;
  /** From the first token to the last. */
  readonly decodeMs: number;
}

export type ChatEvent =
  /** The prompt is tokenised, fits, and is queued. */
  | { readonly type: 'start'; readonly promptTokens: number }
  /**
   * A piece of answer `index`. `scores` has an entry for each token that ends in `text`; empty unless log-probabilities were asked for.
   */
  | { readonly type: 'delta'; readonly index: number; readonly text: string; readonly scores: readonly ScoredToken[] }
  /** Answer `index` is complete; with the last one to be so comes the usage of all. */
  | {
      readonly type: 'end';
      readonly index: number;
      readonly finishReason: 'stop' | 'length';
      readonly usage?: ChatUsage;
    };

export interface EmbedRequest {
  /** Texts, or their tokens with everything that the model wants around them. */
  readonly inputs: readonly (string | readonly number[])[];
}

export interface Embeddings {
  /** One per input, of length 1. */
  readonly vectors: readonly Float32Array[];
  /** Tokens of all inputs together. */
  readonly promptTokens: number;
}

export interface LoadHooks {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Called for as long as the model answers. */
  readonly onMetrics?: (event: MetricsEvent) => void;
}

/** A place where a model runs: in this thread (`EngineHost`) or in a worker (`RemoteHost`). */
export interface MetricsOptions {
  /**
   * Measure how fast this GPU reads its memory, the first time that it is asked for: about a second in which answers wait, and up to 1 GiB
   * of memory. Rejects with OutOfMemoryError where there is too little.
   */
  readonly bandwidth?: boolean;
}

/** With the yardstick for `memoryBytesPerSecond`, where `bandwidth` was asked for and the model runs on a GPU. */
export interface HostMetrics extends EngineMetrics {
  /** Bytes a second that the GPU reads at best. */
  readonly bandwidthBytesPerSecond?: number;
  /** `memoryBytesPerSecond` over that: what decoding, which is bound by memory, makes of the GPU. */
  readonly bandwidthShare?: number;
}

export interface Host {
  /** Loads a model and makes it the one that answers. When it fails, the previous one goes on answering. */
  load(source: ModelSource, settings: LoadSettings, hooks?: LoadHooks): Promise<ModelInfo>;
  /** One `start`, then of each answer any number of `delta` and one `end`. Closing the iterator stops the generation. */
  chat(request: ChatRequest, signal?: AbortSignal): AsyncIterableIterator<ChatEvent>;
  /** The vectors of texts under an encoder. */
  embed(request: EmbedRequest, signal?: AbortSignal): Promise<Embeddings>;
  /** A chat as bytes, with what is cached of it. */
  saveChat(messages: readonly ChatMessage[]): Promise<Uint8Array>;
  /** The same into the browser's private file system. */
  storeChat(messages: readonly ChatMessage[], name: string): Promise<StoredSession>;
  /** The messages of a saved chat, from its bytes or the name that it is stored under; what was saved of it is cached again. */
  loadChat(saved: Uint8Array | string): Promise<readonly ChatMessage[]>;
  /** What the model that answers has done since it was loaded, and how long it took. */
  metrics(options?: MetricsOptions): Promise<HostMetrics>;
  dispose(): Promise<void>;
}
