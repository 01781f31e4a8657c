/** Checkpoints of gpt-oss: experts packed in MXFP4, or unpacked and transposed, gate and up projection in alternating rows. */
import { describe, expect, it } from 'vitest';
import type { GgufTensor } from '../../../src/formats/gguf/gguf';
import { readModelSpec } from '../../../src/model/architecture';
import {
  concatenated,
  form,
  fused,
  inTurns,
  partner,
  readModelFixture,
  rowsInOrder,
  tensorOf,
  transposed,
  unpackedMxfp4,
  upOf,
} from '../../support/checkpoint_forms';
import {
  asRepository,
  type Checkpoint,
  type Fixture,
  LLAMA_CHECKPOINT_NAMES,
  type StoredForm,
  storedTensors,
  valuesOf,
} from '../../support/hugging_face';
import { writeSafetensors } from '../../support/safetensors_writer';
import { expectSameModel, LAYER, numberOf, openRepository as open, sizes, valuesIn } from '../../support/same_model';

const GPT_OSS_CONFIG = (fixture: Fixture): Record<string, unknown> => ({
  ...sizes(fixture),
  model_type: 'gpt_oss',
  intermediate_size: numberOf(fixture, 'expert_feed_forward_length'),
  num_local_experts: numberOf(fixture, 'expert_count'),
  num_experts_per_tok: numberOf(fixture, 'expert_used_count'),
  sliding_window: numberOf(fixture, 'attention.sliding_window'),
  swiglu_limit: 7,
  rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 64, truncate: true },
});

/** gpt-oss as published, or unpacked and transposed as its other form is. */
function gptOss(fixture: Fixture, packed: boolean): Checkpoint {
  const rawOf = (tensor: GgufTensor) => fixture.bytes.subarray(tensor.offset, tensor.offset + tensor.byteLength);
  return {
    names: {
      ...LLAMA_CHECKPOINT_NAMES,
      'blk.{l}.post_attention_norm': `${LAYER}.post_attention_layernorm`,
      'blk.{l}.ffn_gate_inp': `${LAYER}.mlp.router`,
    },
    config: { ...GPT_OSS_CONFIG(fixture), ...(packed && { quantization_config: { quant_method: 'mxfp4' } }) },
    forms(tensor, layer): Record<string, StoredForm> | undefined {
      const at = `model.layers.${layer}`;
      if (tensor.name.endsWith('attn_sinks.weight')) {
        return { [`${at}.self_attn.sinks`]: form(tensor.shape, valuesOf(fixture, tensor)) };
      }
      const [, part, kind] = /ffn_(gate|up|down)_exps\.(weight|bias)$/.exec(tensor.name) ?? [];
      if (part === undefined) return undefined;
      if (part === 'up') return {};
      const name = `${at}.mlp.experts.${part === 'gate' ? 'gate_up_proj' : 'down_proj'}`;
      const up = part === 'gate' ? tensorOf(fixture, upOf(tensor.name)) : undefined;
      const experts = tensor.shape[tensor.shape.length - 1];
      const rows = tensor.shape[tensor.shape.length - 2] * (up ? 2 : 1);
      const order = up ? inTurns(rows / 2) : Array.from({ length: rows }, (_, i) => i);
      const all = Array.from({ length: experts * rows }, (_, i) => i - (i % rows) + order[i % rows]);
      const both = (a: Float32Array<ArrayBuffer>, b: Float32Array<ArrayBuffer> | undefined) =>
        rowsInOrder(b ? fused(a, b, experts) : a, all);
      if (kind === 'bias') {
        return {
          [`${name}_bias`]: form([experts, rows], both(valuesOf(fixture, tensor), up && valuesOf(fixture, up))),
        };
      }
      const [cols] = tensor.shape;
      if (!packed) {
        const values = both(valuesOf(fixture, tensor), up && valuesOf(fixture, up));
        const each = Array.from({ length: experts }, (_, e) =>
          transposed(values.slice(e * rows * cols, (e + 1) * rows * cols), rows, cols),
        );
        return { [name]: form([experts, cols, rows], concatenated(each)) };
      }
      const own = unpackedMxfp4(rawOf(tensor));
      const other = up && unpackedMxfp4(rawOf(up));
      const bytes = (a: Uint8Array, b: Uint8Array | undefined) =>
        Uint8Array.from(both(Float32Array.from(a), b && Float32Array.from(b)));
      return {
        [`${name}_blocks`]: form([experts, rows, cols / 32, 16], bytes(own.blocks, other?.blocks)),
        [`${name}_scales`]: form([experts, rows, cols / 32], bytes(own.scales, other?.scales)),
      };
    },
  };
}

describe('a checkpoint of gpt-oss', () => {
  it.each([
    ['in MXFP4', true],
    ['unpacked', false],
  ])('%s has the experts of the GGUF file, gates before up projections', async (_, packed) => {
    const fixture = await readModelFixture('gpt-oss');
    const source = await open(asRepository(fixture, gptOss(fixture, packed)));
    await expectSameModel(fixture, source, {
      keys: packed ? /oss\.feed_forward_length$/ : /feed_forward_length$/,
      tensors: /_exps\./,
    });
    for (const layer of [0, 3]) {
      for (const kind of ['weight', 'bias']) {
        const of = (part: string) => `blk.${layer}.ffn_${part}_exps.${kind}`;
        const gate = tensorOf(fixture, of('gate'));
        const experts = gate.shape[gate.shape.length - 1];
        const expected = fused(valuesOf(fixture, gate), partner(fixture, of('up')), experts);
        expect(await valuesIn(source, of('gate_up')), of('gate_up')).toEqual(expected);
        expect(await valuesIn(source, of('down')), of('down')).toEqual(partner(fixture, of('down')));
      }
    }
    expect(source.gguf.tensors.get('blk.0.ffn_down_exps.weight')?.type).toBe(packed ? 'MXFP4' : 'F32');
    readModelSpec(source.gguf, 256, 2 ** 30);
  });

  it('without its scales, or with scales of another shape, is refused', async () => {
    const fixture = await readModelFixture('gpt-oss');
    const files = asRepository(fixture, gptOss(fixture, true));
    const tensors = { ...storedTensors(fixture, gptOss(fixture, true)) };
    const name = 'model.layers.1.mlp.experts.down_proj_scales';
    const { [name]: scales, ...rest } = tensors;
    const reopened = (changed: typeof tensors) => open({ ...files, 'model.safetensors': writeSafetensors(changed) });
    await expect(reopened(rest)).rejects.toThrow(`without "${name}"`);
    const [experts, rows, perRow] = scales.shape;
    await expect(reopened({ ...rest, [name]: { ...scales, shape: [rows, experts, perRow] } })).rejects.toThrow(
      /do not fit together/,
    );
    const shorter = { ...tensors['model.layers.1.mlp.experts.down_proj_blocks'], shape: [experts, rows, perRow * 16] };
    await expect(reopened({ ...tensors, 'model.layers.1.mlp.experts.down_proj_blocks': shorter })).rejects.toThrow(
      /expected \[experts, rows, blocks, 16\]/,
    );
  });
});
