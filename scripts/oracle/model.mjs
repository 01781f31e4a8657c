/** What the models in models/ are made of: seeded random tensors and a small vocabulary. */

export const VOCAB_SIZE = 160;

/** Uniform in [0, 1): mulberry32. */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Makes tensors whose values depend on the seed and on the order of the calls. */
export class Tensors {
  constructor(seed) {
    this.random = seeded(seed);
    this.all = {};
  }

  normal() {
    return Math.sqrt(-2 * Math.log(1 - this.random())) * Math.cos(2 * Math.PI * this.random());
  }

  /** Values of a normal distribution; `shape` in GGUF's order. */
  add(name, shape, deviation, mean = 0) {
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    for (let i = 0; i < data.length; i++) data[i] = mean + deviation * this.normal();
    this.all[name] = { shape, data };
  }

  /** [cols, rows], outputs of about `gain` times the size of the inputs. */
  matrix(name, cols, rows, gain = 1) {
    this.add(`${name}.weight`, [cols, rows], gain / Math.sqrt(cols));
  }

  /** Weights of a norm: around `mean`. */
  norm(name, length, mean = 1) {
    this.add(`${name}.weight`, [length], 0.2 * mean, mean);
  }

  bias(name, length, deviation = 0.2) {
    this.add(`${name}.bias`, [length], deviation);
  }

  /** Embedding and output tables whose logits have a deviation of about 2.3. */
  table(name, hidden, vocab = VOCAB_SIZE) {
    this.add(`${name}.weight`, [hidden, vocab], 2.3 / Math.sqrt(hidden));
  }
}

/** Characters that GPT-2's byte-level tokenizers write for the 256 bytes. */
function byteCharacters() {
  const printable = (byte) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let extra = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : extra++));
}

/** A byte-level vocabulary of `size` tokens, the last of them the end. */
export function vocabulary(size = VOCAB_SIZE) {
  const bytes = byteCharacters();
  const fillers = Array.from({ length: Math.max(0, size - 258) }, (_, i) => `<${i}>`);
  const tokens = [...bytes.slice(0, size - 2), ...fillers, 'he', '<|end|>'];
  return {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'gpt-2',
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': {
      type: 'array',
      itemType: 'i32',
      value: tokens.map((_, i) => (i === size - 1 ? 3 : 1)),
    },
    'tokenizer.ggml.merges': ['h e'],
    'tokenizer.ggml.bos_token_id': size - 1,
    'tokenizer.ggml.eos_token_id': size - 1,
    'tokenizer.ggml.add_bos_token': false,
  };
}

/** Metadata that all decoders have; `own` has keys without the architecture's prefix. */
export function metadata(architecture, name, own) {
  return {
    'general.architecture': architecture,
    'general.name': name,
    ...Object.fromEntries(Object.entries(own).map(([key, value]) => [`${architecture}.${key}`, value])),
    ...vocabulary(),
  };
}
