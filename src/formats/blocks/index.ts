import type { WeightFormat } from '../weight_format';
import { bf16 } from './bf16';
import type { BlockFormat } from './block_format';
import { f16 } from './f16';
import { f32 } from './f32';
import { iq4_nl } from './iq4_nl';
import { iq4_xs } from './iq4_xs';
import { mxfp4 } from './mxfp4';
import { q2_k } from './q2_k';
import { q3_k } from './q3_k';
import { q4_0 } from './q4_0';
import { q4_1 } from './q4_1';
import { q4_k } from './q4_k';
import { q5_0 } from './q5_0';
import { q5_1 } from './q5_1';
import { q5_k } from './q5_k';
import { q6_k } from './q6_k';
import { q8_0 } from './q8_0';

/** The block format of every storage type that a kernel reads. */
export const BLOCK_FORMATS: Readonly<Record<WeightFormat, BlockFormat>> = {
  f32,
  f16,
  bf16,
  q8_0,
  q6_k,
  q5_0,
  q5_1,
  q5_k,
  q4_0,
  q4_1,
  q4_k,
  iq4_nl,
  iq4_xs,
  mxfp4,
  q3_k,
  q2_k,
};

/** Those that values can be turned into. */
export const ENCODABLE_FORMATS = { f32, f16, bf16, q8_0, q4_0, q4_1 } as const;
