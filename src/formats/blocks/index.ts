import type { WeightFormat } from '../weight_format';
import { bf16 } from './bf16';
import type { EncodableFormat } from './block_format';
import { f16 } from './f16';
import { f32 } from './f32';
import { q4_0 } from './q4_0';
import { q4_1 } from './q4_1';
import { q8_0 } from './q8_0';

/** The block format of every storage type that a kernel reads. */
export const BLOCK_FORMATS: Readonly<Record<WeightFormat, EncodableFormat>> = { f32, f16, bf16, q8_0, q4_0, q4_1 };
