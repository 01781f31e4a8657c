/** Storage types of a matrix that the kernels read. Names are GGUF's, in lower case. */
export const WEIGHT_FORMATS = [
  'f32',
  'f16',
  'bf16',
  'q8_0',
  'q6_k',
  'q5_0',
  'q5_1',
  'q5_k',
  'q4_0',
  'q4_1',
  'q4_k',
  'iq4_nl',
  'iq4_xs',
  'mxfp4',
  'q3_k',
  'q2_k',
] as const;
export type WeightFormat = (typeof WEIGHT_FORMATS)[number];
