import type { GgufValue } from '../gguf/gguf';

/** Metadata of a GGUF file in the making; keys without a dot before them are the architecture's. */
export class Metadata {
  readonly entries = new Map<string, GgufValue>();

  constructor(readonly architecture: string) {
    this.entries.set('general.architecture', { type: 'string', value: architecture });
  }

  u32(key: string, value: number): void {
    this.entries.set(this.own(key), { type: 'u32', value });
  }

  f32(key: string, value: number): void {
    this.entries.set(this.own(key), { type: 'f32', value: Math.fround(value) });
  }

  string(key: string, value: string): void {
    this.entries.set(this.own(key), { type: 'string', value });
  }

  bool(key: string, value: boolean): void {
    this.entries.set(this.own(key), { type: 'bool', value });
  }

  bools(key: string, items: readonly boolean[]): void {
    this.entries.set(this.own(key), { type: 'array', value: { itemType: 'bool', items } });
  }

  integers(key: string, items: readonly number[]): void {
    this.entries.set(this.own(key), { type: 'array', value: { itemType: 'i32', items: Int32Array.from(items) } });
  }

  /** A key that is not the architecture's own. */
  general(key: string, value: GgufValue): void {
    this.entries.set(key, value);
  }

  private own(key: string): string {
    return `${this.architecture}.${key}`;
  }
}
