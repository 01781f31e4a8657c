import { describe, expect, test } from 'vitest';
import { Engine } from '../../src/engine/engine';
import { GREEDY } from '../../src/engine/runner';
import { decodeRow } from '../../src/formats/dequantize';
import { rowBytes } from '../../src/formats/row_bytes';
import { WEIGHT_FORMATS } from '../../src/formats/weight_format';
import { loadModel } from '../../src/model/load_model';
import { readBuffer } from '../../src/model/read_buffer';
import { syntheticModel } from '../../src/model/synthetic';
import type { DecoderShape } from '../../src/model/synthetic_shapes';
import { BlockFiller } from '../../src/model/synthetic_weights';
import { withDevice } from './variants';

const COLS = 768;
const ROWS = 37;

describe('random blocks on the GPU', () => {
  const open = withDevice();

  test.each(WEIGHT_FORMATS)('%s: values of the deviation 1/√cols, the same for the same seed', async (format) => {
    const gpu = await open();
    const perRow = rowBytes(format, COLS);
    const raw = await gpu.createBuffer({
      label: 'raw',
      size: Math.ceil((ROWS * perRow) / 16) * 16,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
    });
    const weight = { name: 'w', format, rows: ROWS, cols: COLS };
    const fill = async (seed: number, tensor: number, firstRow: number): Promise<Uint8Array> => {
      const filler = await BlockFiller.create(gpu, raw, seed);
      filler.fillRows(weight, tensor, firstRow, ROWS);
      const bytes = new Uint8Array(await readBuffer(gpu, raw));
      filler.dispose();
      return bytes;
    };
    const seed = Math.floor(Math.random() * 2 ** 31);
    const bytes = await fill(seed, 3, 100);
    const values = decodeRow(format, bytes, ROWS * COLS);
    const rms = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length) * Math.sqrt(COLS);
    expect(rms).toBeGreaterThan(0.69);
    expect(rms).toBeLessThan(1.45);
    expect(await fill(seed, 3, 100)).toEqual(bytes);
    for (const other of [await fill(seed + 1, 3, 100), await fill(seed, 4, 100), await fill(seed, 3, 137)]) {
      const same = other.reduce((sum, byte, i) => sum + Number(byte === bytes[i]), 0);
      expect(same / bytes.length).toBeLessThan(0.7);
    }
    gpu.destroyBuffer(raw);
  });
});

describe('a synthetic model', () => {
  const shape: DecoderShape = {
    numLayers: 2,
    hiddenSize: 96,
    intermediateSize: 160,
    numHeads: 3,
    numKvHeads: 1,
    headDim: 32,
    vocabSize: 1000,
    contextLength: 64,
    ropeTheta: 10_000,
    tied: false,
  };

  test('answers with finite logits of about unit size, and the same tokens each time it is loaded', async () => {
    const outputs: (readonly number[])[] = [];
    for (let load = 0; load < 2; load++) {
      const progress: number[] = [];
      const model = syntheticModel('tiny', shape, 'q4_0', 7);
      const loaded = await loadModel(model, {
        backend: 'webgpu',
        // One kernel for each call is enough here.
        maxRows: 1,
        onProgress: ({ phase, loaded, total }) => {
          if (phase === 'weights') progress.push(loaded / total);
        },
      });
      const engine = new Engine(loaded.runner);
      const logits: Float32Array[] = [];
      await engine.score({ promptTokens: [5, 900, 17], onLogits: (_, row) => logits.push(row) });
      expect(logits).toHaveLength(3);
      for (const row of logits) {
        const rms = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / row.length);
        expect(rms).toBeGreaterThan(0.5);
        expect(rms).toBeLessThan(2);
      }
      const { outputTokens } = await engine
        .generate({ promptTokens: [1, 2, 3], maxTokens: 8, sampling: GREEDY, stopTokens: new Set() })
        .drain();
      outputs.push(outputTokens);
      expect(progress.at(-1)).toBeGreaterThan(0.9);
      expect(progress.at(-1)).toBeLessThanOrEqual(1);
      engine.dispose();
      loaded.dispose();
    }
    expect(outputs[0]).toHaveLength(8);
    expect(outputs[1]).toEqual(outputs[0]);
  });
});
