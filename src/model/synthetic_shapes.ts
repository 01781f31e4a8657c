/** The shape of a model whose layers are attention and a gated feed-forward network, or experts in its place. */
export interface DecoderShape {
  /** Default llama. */
  readonly architecture?: 'llama' | 'qwen2' | 'qwen3' | 'qwen3moe' | 'olmoe';
  readonly numLayers: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly experts?: {
    readonly count: number;
    /** Experts of a row. */
    readonly used: number;
    /** Intermediate size of an expert. */
    readonly size: number;
  };
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly ropeTheta: number;
  /** Default 1e-5. */
  readonly rmsNormEps?: number;
  /** Whether the embedding table is the output head too. */
  readonly tied: boolean;
}

/** Shapes as the published configurations say. */
export const DECODER_SHAPES: Readonly<Record<string, DecoderShape>> = {
  'smollm2-135m': {
    numLayers: 30,
    hiddenSize: 576,
    intermediateSize: 1536,
    numHeads: 9,
    numKvHeads: 3,
    headDim: 64,
    vocabSize: 49152,
    contextLength: 8192,
    ropeTheta: 100_000,
    tied: true,
  },
  'qwen2.5-0.5b': {
    architecture: 'qwen2',
    numLayers: 24,
    hiddenSize: 896,
    intermediateSize: 4864,
    numHeads: 14,
    numKvHeads: 2,
    headDim: 64,
    vocabSize: 151_936,
    contextLength: 32_768,
    ropeTheta: 1_000_000,
    rmsNormEps: 1e-6,
    tied: true,
  },
  'qwen3-0.6b': {
    architecture: 'qwen3',
    numLayers: 28,
    hiddenSize: 1024,
    intermediateSize: 3072,
    numHeads: 16,
    numKvHeads: 8,
    headDim: 128,
    vocabSize: 151_936,
    contextLength: 40_960,
    ropeTheta: 1_000_000,
    rmsNormEps: 1e-6,
    tied: true,
  },
  'qwen3-1.7b': {
    architecture: 'qwen3',
    numLayers: 28,
    hiddenSize: 2048,
    intermediateSize: 6144,
    numHeads: 16,
    numKvHeads: 8,
    headDim: 128,
    vocabSize: 151_936,
    contextLength: 40_960,
    ropeTheta: 1_000_000,
    rmsNormEps: 1e-6,
    tied: true,
  },
  'llama-3.2-1b': {
    numLayers: 16,
    hiddenSize: 2048,
    intermediateSize: 8192,
    numHeads: 32,
    numKvHeads: 8,
    headDim: 64,
    vocabSize: 128_256,
    contextLength: 131_072,
    ropeTheta: 500_000,
    tied: true,
  },
  'llama-3.2-3b': {
    numLayers: 28,
    hiddenSize: 3072,
    intermediateSize: 8192,
    numHeads: 24,
    numKvHeads: 8,
    headDim: 128,
    vocabSize: 128_256,
    contextLength: 131_072,
    ropeTheta: 500_000,
    tied: true,
  },
  'llama-3.1-8b': {
    numLayers: 32,
    hiddenSize: 4096,
    intermediateSize: 14_336,
    numHeads: 32,
    numKvHeads: 8,
    headDim: 128,
    vocabSize: 128_256,
    contextLength: 131_072,
    ropeTheta: 500_000,
    tied: false,
  },
  'olmoe-1b-7b': {
    architecture: 'olmoe',
    numLayers: 16,
    hiddenSize: 2048,
    intermediateSize: 1024,
    experts: { count: 64, used: 8, size: 1024 },
    numHeads: 16,
    numKvHeads: 16,
    headDim: 128,
    vocabSize: 50_304,
    contextLength: 4096,
    ropeTheta: 10_000,
    tied: false,
  },
  'qwen3-30b-a3b': {
    architecture: 'qwen3moe',
    numLayers: 48,
    hiddenSize: 2048,
    intermediateSize: 6144,
    experts: { count: 128, used: 8, size: 768 },
    numHeads: 32,
    numKvHeads: 4,
    headDim: 128,
    vocabSize: 151_936,
    contextLength: 40_960,
    ropeTheta: 1_000_000,
    rmsNormEps: 1e-6,
    tied: false,
  },
};
