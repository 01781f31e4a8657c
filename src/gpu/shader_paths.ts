/** What `import.meta.glob` finds, by the path below shaders/, e.g. "lib/step.wgsl". */
export function byPath(files: Readonly<Record<string, string>>): Map<string, string> {
  return new Map(Object.entries(files).map(([path, text]) => [path.slice('/shaders/'.length), text]));
}
