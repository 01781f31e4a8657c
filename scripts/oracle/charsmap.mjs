/** A normalisation table as SentencePiece compiles it (a double array in darts-clone's layout), from pairs of a sequence and its replacement. */
export function writeCharsMap(pairs) {
  const root = { children: new Map() };
  const list = [];
  for (const [from, to] of pairs) {
    let node = root;
    for (const byte of Buffer.from(from)) {
      if (!node.children.has(byte)) node.children.set(byte, { children: new Map() });
      node = node.children.get(byte);
    }
    node.value = list.length;
    list.push(...Buffer.from(to), 0);
  }
  const units = [];
  const used = new Set([0]);
  const place = (node, at, label) => {
    const labels = [...(node.value === undefined ? [] : [0]), ...node.children.keys()];
    let base = 1;
    while (labels.some((child) => used.has(base ^ child))) base++;
    for (const child of labels) used.add(base ^ child);
    units[at] = (label | (node.value === undefined ? 0 : 0x100) | ((at ^ base) << 10)) >>> 0;
    if (node.value !== undefined) units[base] = (node.value | 0x80000000) >>> 0;
    for (const [byte, child] of node.children) place(child, base ^ byte, byte);
  };
  place(root, 0, 0);
  // Whatever byte comes, the walk stays inside of the array.
  const count = 256 * (Math.ceil(units.length / 256) + 1);
  const out = Buffer.alloc(4 + 4 * count);
  out.writeUInt32LE(4 * count);
  for (let i = 0; i < units.length; i++) out.writeUInt32LE(units[i] ?? 0, 4 + 4 * i);
  return Buffer.concat([out, Buffer.from(list)]);
}
