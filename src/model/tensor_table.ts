import { InvalidFileError, UnsupportedModelError } from '../errors';
import type { Gguf, GgufTensor } from '../formats/gguf/gguf';
import { WEIGHT_FORMATS, type WeightFormat } from '../formats/weight_format';
import type { Vector } from '../ops/op';
import type { VectorSource, WeightSource } from './model_spec';

const VECTOR_TYPES: readonly string[] = ['F32', 'F16', 'BF16'];

function describeShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

/**
 * The file's tensors as an architecture asks for them: each one is checked against the shape that the configuration says, and
 * `finish` rejects those that nobody asked for, since a tensor that is not understood would be ignored in silence.
 */
export class TensorTable {
  readonly weights: WeightSource[] = [];
  readonly vectors: VectorSource[] = [];
  private readonly asked = new Set<string>();

  constructor(private readonly gguf: Gguf) {}

  has(name: string): boolean {
    return this.gguf.tensors.has(name);
  }

  formatOf(name: string): WeightFormat {
    const tensor = this.require(name);
    const format = tensor.type.toLowerCase() as WeightFormat;
    if (!WEIGHT_FORMATS.includes(format)) {
      throw new UnsupportedModelError(`tensor "${name}" is stored as ${tensor.type}, which is not supported yet`, {
        details: { tensor: name, type: tensor.type },
      });
    }
    return format;
  }

  /** A matrix [rows, cols] made of one tensor, or of several stacked by rows that share a storage type. */
  matrix(
    name: string,
    parts: readonly { readonly tensor: string; readonly rows: number }[],
    cols: number,
  ): WeightSource {
    const format = this.formatOf(parts[0].tensor);
    for (const part of parts) {
      this.checkShape(part.tensor, [cols, part.rows]);
      if (this.formatOf(part.tensor) !== format) {
        throw new UnsupportedModelError(`"${name}" mixes storage types: ${parts.map((p) => p.tensor).join(', ')}`);
      }
    }
    const rows = parts.reduce((sum, part) => sum + part.rows, 0);
    const source = { weight: { name, format, rows, cols }, tensors: parts.map((part) => part.tensor) };
    this.weights.push(source);
    return source;
  }

  /** A stack of `count` matrices [rows, cols], each made of one matrix of each part: experts, with gate and up side by side. */
  stack(
    name: string,
    parts: readonly { readonly tensor: string; readonly rows: number }[],
    cols: number,
    count: number,
  ): WeightSource {
    const format = this.formatOf(parts[0].tensor);
    for (const part of parts) {
      this.checkShape(part.tensor, [cols, part.rows, count]);
      if (this.formatOf(part.tensor) !== format) {
        throw new UnsupportedModelError(`"${name}" mixes storage types: ${parts.map((p) => p.tensor).join(', ')}`);
      }
    }
    const stackRows = parts.reduce((sum, part) => sum + part.rows, 0);
    const weight = { name, format, rows: count * stackRows, cols, stackRows };
    const source = { weight, tensors: parts.map((part) => part.tensor) };
    this.weights.push(source);
    return source;
  }

  /** The biases of a stack: [count] times one row of each part, tensors of [length, count]. */
  stackedVector(
    name: string,
    parts: readonly { readonly tensor: string; readonly length: number }[],
    count: number,
  ): Vector {
    for (const part of parts) this.checkVector(part.tensor, [part.length, count]);
    const stride = parts.reduce((sum, part) => sum + part.length, 0);
    const vector = { name, length: count * stride };
    const compute = (values: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> => {
      const stacked = new Float32Array(values.length);
      let from = 0;
      let column = 0;
      for (const { length } of parts) {
        for (let i = 0; i < count; i++, from += length) {
          stacked.set(values.subarray(from, from + length), i * stride + column);
        }
        column += length;
      }
      return stacked;
    };
    this.vectors.push({ vector, tensors: parts.map((part) => part.tensor), compute });
    return vector;
  }

  /** An f32 vector made of tensors one after another. */
  vector(name: string, parts: readonly { readonly tensor: string; readonly length: number }[]): Vector {
    for (const part of parts) this.checkVector(part.tensor, [part.length]);
    const vector = { name, length: parts.reduce((sum, part) => sum + part.length, 0) };
    this.vectors.push({ vector, tensors: parts.map((part) => part.tensor) });
    return vector;
  }

  /** A vector of `length` computed from the metadata and, where it is named, from a small tensor of the file. */
  computed(
    name: string,
    length: number,
    source: { readonly tensor: string; readonly length: number } | undefined,
    compute: (values: Float32Array<ArrayBuffer>) => Float32Array<ArrayBuffer>,
  ): Vector {
    const shape = source && [source.length];
    return this.computedFrom(name, length, source && shape ? [{ tensor: source.tensor, shape }] : [], compute);
  }

  /** A vector of `length` computed from tensors of the file, whose values come one after another; shapes as in the file. */
  computedFrom(
    name: string,
    length: number,
    sources: readonly { readonly tensor: string; readonly shape: readonly number[] }[],
    compute: (values: Float32Array<ArrayBuffer>) => Float32Array<ArrayBuffer>,
  ): Vector {
    const vector = { name, length };
    for (const { tensor, shape } of sources) {
      this.checkVector(tensor, shape);
    }
    this.vectors.push({ vector, tensors: sources.map(({ tensor }) => tensor), compute });
    return vector;
  }

  /** Rows of a matrix that the metadata does not give (the vocabulary). */
  rowsOf(name: string): number {
    return this.require(name).shape[1] ?? 1;
  }

  /** Marks a tensor as understood and reads its place in the file. */
  require(name: string): GgufTensor {
    const tensor = this.gguf.tensors.get(name);
    if (!tensor) throw new InvalidFileError(`tensor "${name}" is missing`, { details: { tensor: name } });
    this.asked.add(name);
    return tensor;
  }

  /** `unused`: tensors that are known and not needed. */
  finish(unused: (name: string) => boolean = () => false): void {
    for (const name of this.gguf.tensors.keys()) {
      if (!this.asked.has(name) && !unused(name)) {
        throw new UnsupportedModelError(`tensor "${name}" is not part of this architecture`, {
          details: { tensor: name },
        });
      }
    }
  }

  private checkVector(name: string, expected: readonly number[]): void {
    this.checkShape(name, expected);
    const { type } = this.require(name);
    if (!VECTOR_TYPES.includes(type)) {
      throw new UnsupportedModelError(`vector "${name}" is stored as ${type}, expected ${VECTOR_TYPES.join(', ')}`);
    }
  }

  private checkShape(name: string, expected: readonly number[]): void {
    const { shape } = this.require(name);
    // Trailing dimensions of 1 carry no meaning in GGUF.
    const dimensions = Math.max(shape.length, expected.length);
    if (Array.from({ length: dimensions }, (_, i) => (shape[i] ?? 1) === (expected[i] ?? 1)).includes(false)) {
      throw new InvalidFileError(
        `tensor "${name}" has shape ${describeShape(shape)}, expected ${describeShape(expected)}`,
        { details: { tensor: name, found: [...shape], expected: [...expected] } },
      );
    }
  }
}
