/**
 * Encoders for embeddings whose layers normalise after each branch, as the first transformers did: BERT (Devlin et al. 2019) with learned
 * positions, nomic-bert (Nussbaum et al. 2024) with RoPE and gated feed-forward networks. Every position sees all others.
 */
import { UnsupportedModelError } from '../../errors';
import type { Vector } from '../../ops/op';
import type { ModelSpec } from '../model_spec';
import type { Branch } from './decoder';
import type { DecoderReader } from './decoder_reader';
import type { Rope } from './rope';

export function readBert(reader: DecoderReader): ModelSpec {
  return encoder(reader, positionsAndType(reader), undefined, (layer) => reader.plainFfn(layer, 'gelu'));
}

export function readNomicBert(reader: DecoderReader): ModelSpec {
  return encoder(reader, tokenType(reader), reader.rope('halves'), (layer) => reader.gatedFfn(layer, 'silu'));
}

function encoder(
  reader: DecoderReader,
  positions: Vector | undefined,
  rope: Rope | undefined,
  ffn: (layer: number) => Branch,
): ModelSpec {
  const pool = reader.pooling();
  if (!pool)
    throw new UnsupportedModelError(
      `${reader.key('pooling_type')} names no pooling: vectors of single tokens are not supported`,
    );
  const table = reader.embeddingTable();
  return reader.finish({
    embedding: { table, scale: 1, positions, norm: reader.layerNorm('token_embd_norm') },
    layers: reader.layers((layer) => [
      [
        {
          branch: reader.attention(layer, { rope, mask: 'full' }),
          streamNorm: reader.layerNorm(reader.at(layer, 'attn_output_norm')),
        },
      ],
      [{ branch: ffn(layer), streamNorm: reader.layerNorm(reader.at(layer, 'layer_output_norm')) }],
    ]),
    head: { pool, dense: [] },
  });
}

const TYPES = 'token_types.weight';

/** All tokens are of the first type: its vector is added to each. */
function tokenType(reader: DecoderReader): Vector | undefined {
  const { tensors, hiddenSize } = reader;
  if (!tensors.has(TYPES)) return undefined;
  const source = { tensor: TYPES, shape: [hiddenSize, tensors.rowsOf(TYPES)] };
  return tensors.computedFrom('token_type', hiddenSize, [source], (types) => types.slice(0, hiddenSize));
}

/** Learned positions with the first token type on top. */
function positionsAndType(reader: DecoderReader): Vector {
  const { tensors, hiddenSize, contextLength } = reader;
  if (!tensors.has(TYPES)) return reader.positions();
  const count = tensors.rowsOf('position_embd.weight');
  reader.checkPositions(count);
  const sources = [
    { tensor: 'position_embd.weight', shape: [hiddenSize, count] },
    { tensor: TYPES, shape: [hiddenSize, tensors.rowsOf(TYPES)] },
  ];
  return tensors.computedFrom('positions', contextLength * hiddenSize, sources, (values) => {
    const type = values.subarray(count * hiddenSize);
    return values.slice(0, contextLength * hiddenSize).map((value, i) => value + type[i % hiddenSize]);
  });
}
