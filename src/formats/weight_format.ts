/** Storage types of a matrix that the kernels read. Names are GGUF's, in lower case. */
export const WEIGHT_FORMATS = ['f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'q4_1'] as const;
export type WeightFormat = (typeof WEIGHT_FORMATS)[number];
