interface Node {
  readonly children: Map<number, Node>;
  /** Place of the replacement in the list. */
  value?: number;
}

/** A normalisation table as SentencePiece compiles it, from pairs of a sequence and its replacement. */
export function writeCharsMap(pairs: readonly (readonly [from: string, to: string])[]): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const root: Node = { children: new Map() };
  const list: number[] = [];
  for (const [from, to] of pairs) {
    let node = root;
    for (const byte of encoder.encode(from)) {
      const next: Node = node.children.get(byte) ?? { children: new Map() };
      node.children.set(byte, next);
      node = next;
    }
    node.value = list.length;
    list.push(...encoder.encode(to), 0);
  }
  const units: number[] = [];
  const used = new Set([0]);
  const place = (node: Node, at: number, label: number): void => {
    const labels = [...(node.value === undefined ? [] : [0]), ...node.children.keys()];
    let base = 1;
    while (labels.some((child) => used.has(base ^ child))) base++;
    for (const child of labels) used.add(base ^ child);
    units[at] = (label | (node.value === undefined ? 0 : 0x100) | ((at ^ base) << 10)) >>> 0;
    if (node.value !== undefined) units[base] = (node.value | 0x80000000) >>> 0;
    for (const [byte, child] of node.children) place(child, base ^ byte, byte);
  };
  place(root, 0, 0);
  const size = 256 * Math.ceil(units.length / 256 + 1);
  const words = Uint32Array.from({ length: size }, (_, i) => units[i] ?? 0);
  return Uint8Array.of(...new Uint8Array(Uint32Array.of(4 * size).buffer), ...new Uint8Array(words.buffer), ...list);
}
