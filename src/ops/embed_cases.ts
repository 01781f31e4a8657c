import { PENDING_TOKEN } from '../engine/runner';
import { BLOCK_FORMATS } from '../formats/blocks';
import { WEIGHT_FORMATS, type WeightFormat } from '../formats/weight_format';
import type { EmbedCall } from './calls';
import { caseBatch } from './case_batch';
import type { Activation, ActivationType, OpCase } from './op';
import { planeBytes } from './weights/layout';

const VOCAB = 1000;

/** Every format; widths that leave blocks half filled; tokens that are still pending; a scale; a table in three parts. */
export function embedCases(seed: number): readonly OpCase<EmbedCall>[] {
  const shapes: readonly (readonly [
    WeightFormat,
    cols: number,
    scale: number,
    ActivationType,
    partRows?: number,
    positions?: true,
  ])[] = [
    ...WEIGHT_FORMATS.map((format) => [format, BLOCK_FORMATS[format].blockSize === 256 ? 512 : 96, 1, 'f32'] as const),
    ['f32', 44, 1, 'f32'],
    ['f16', 172, 1, 'f16'],
    ['bf16', 36, 2.5, 'f32'],
    ['q4_0', 288, Math.sqrt(288), 'f16'],
    ['q8_0', 32, 1, 'f32'],
    ['q4_0', 96, 1, 'f32', 384],
    ['f16', 96, 1, 'f32', undefined, true],
  ];
  return shapes.map(([format, cols, scale, type, partRows, positions], i): OpCase<EmbedCall> => {
    const { batch, numPages, rows } = caseBatch(
      [
        { position: 3, rows: 5 },
        { position: 40, rows: 1 },
        { position: 7, rows: 1 },
      ],
      seed + i,
    );
    const pending = { segments: batch.segments.map((s, n) => (n === 1 ? { ...s, tokens: [PENDING_TOKEN] } : s)) };
    const slots = batch.segments.length;
    const out: Activation = { name: 'out', cols, rows: 'step', type };
    return {
      label: `embed ${format} ${cols} ×${scale.toFixed(1)} ${type}${partRows === undefined ? '' : ' in parts'}${positions ? ' positions' : ''}`,
      calls: [
        {
          op: 'embed',
          table: { name: 'table', format, rows: VOCAB, cols },
          lastTokens: { name: 'last_tokens', words: slots },
          out,
          scale,
          positions: positions && { name: 'positions', length: 64 * cols },
        },
      ],
      batch: pending,
      bucket: { minRows: 1, maxRows: rows },
      contextLength: 128,
      numPages,
      kvType: 'f32',
      maxBindingBytes: partRows && planeBytes(format, partRows, cols).quants,
      inputs: { last_tokens: Uint32Array.from({ length: slots }, (_, slot) => (seed + 331 * slot) % VOCAB) },
      outputs: [{ tensor: out, budget: type === 'f16' ? 1e-6 : 1e-9 }],
    };
  });
}
