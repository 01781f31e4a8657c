const files = import.meta.glob<string>('/shaders/**/*.wgsl', { query: '?raw', import: 'default', eager: true });

/** The text of every file of shaders/ by its path below that folder, e.g. "lib/step.wgsl". */
export const SHADER_SOURCES: ReadonlyMap<string, string> = new Map(
  Object.entries(files).map(([path, text]) => [path.slice('/shaders/'.length), text]),
);
