export type { EngineMetrics, MetricsEvent, RequestMetrics } from './engine/metrics';
export type { Percentiles } from './engine/percentiles';
export type { StepMetrics } from './engine/step_loop';
export {
  AbortedError,
  ContextLengthError,
  DeviceLostError,
  DisposedError,
  type ErrorCode,
  type ErrorDetails,
  InternalError,
  InvalidFileError,
  InvalidOptionError,
  KernelError,
  OutOfMemoryError,
  QueueFullError,
  SourceError,
  TemplateError,
  TesseraError,
  UnsupportedModelError,
  WebGpuUnavailableError,
  WorkerLostError,
} from './errors';
export type { AdapterDescription, MaskableFeature } from './gpu/capabilities';
export { type CatalogueEntry, catalogue, fitsDevice } from './sdk/catalogue';
export type * from './sdk/chat_types';
export type * from './sdk/embeddings';
export { createEngine, type EngineOptions, type LoadOptions, type TesseraEngine } from './sdk/engine';
export type { ModelFile, ModelInput, RepositoryOptions } from './sdk/model_input';
export type { ChatSession, SendOptions } from './sdk/session';
export { deleteStoredModel, listStoredModels, type StoredModel, storageUse } from './sdk/stored_models';
export { deleteStoredSession, listStoredSessions } from './sdk/stored_sessions';
export type { StoredSession } from './storage/store/session_store';
export type { ResponseFormat } from './structured/response_format';
export type { HostMetrics, LoadProgress, MetricsOptions, ModelInfo } from './worker/protocol';
