import { readFileSync } from 'node:fs';
import { defineConfig, type Plugin, type UserConfig } from 'vite';
import { xgrammar } from './vite.xgrammar.ts';

/**
 * Three builds from one source:
 * `vite build` the pages (dist/site), `vite build --mode library` the package with its worker (dist/index.js),
 * `vite build --mode cli` the terminal command for Node (dist/cli.js). The library's dependencies are bundled: it has none at run time.
 */
export default defineConfig(({ mode }) => {
  if (mode === 'library') return library;
  if (mode === 'cli') return cli;
  return pages;
});

/**
 * Shaders without comments and indentation, a fifth of the worker's size. Lines stay where they are, so that a driver's message still
 * names the right one; `// #import` lines are the linker's and stay too.
 */
const compactShaders: Plugin = {
  name: 'compact-shaders',
  apply: 'build',
  enforce: 'pre',
  load(id) {
    const path = /^(.*\.wgsl)\?raw$/.exec(id)?.[1];
    if (path === undefined) return undefined;
    const lines = readFileSync(path, 'utf8')
      .replace(/\/\*[^]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ''))
      .split('\n');
    const compact = lines.map((line) => line.replace(/\/\/(?! #import ).*$/, '').trim());
    return `export default ${JSON.stringify(compact.join('\n'))};`;
  },
};

const shared: UserConfig = {
  // Relative addresses: the pages work in any folder of a server, the package wherever a bundler puts it.
  base: './',
  plugins: [compactShaders, xgrammar],
  worker: workerBuild({ entryFileNames: 'worker-[hash].js' }),
};

type WorkerOutput = NonNullable<NonNullable<UserConfig['worker']>['rolldownOptions']>['output'];

function workerBuild(output: WorkerOutput): UserConfig['worker'] {
  return { format: 'es', plugins: () => [compactShaders, xgrammar], rolldownOptions: { output } };
}

const pages: UserConfig = {
  ...shared,
  build: {
    outDir: 'dist/site',
    target: 'es2022',
    modulePreload: { polyfill: false },
    rolldownOptions: { input: ['index.html', 'benchmark.html'] },
  },
};

/**
 * Bundlers find a worker's file only where it says `new URL('./file', import.meta.url)`; Vite's library output wraps that in a
 * second URL. Fails the build when Vite's form changes, rather than to ship a package whose worker is not found.
 */
const WORKERS = 2;

const plainWorkerAddress: Plugin = {
  name: 'plain-worker-address',
  enforce: 'post',
  generateBundle(_, bundle) {
    const wrapped =
      /new URL\(\s*(?:\/\*.*?\*\/)?\s*new URL\("((?:bench-)?worker\.js)", import\.meta\.url\)\.href,[^)]*\)/g;
    let found = 0;
    for (const file of Object.values(bundle)) {
      if (file.type !== 'chunk') continue;
      file.code = file.code.replace(wrapped, (_, name: string) => {
        found++;
        return `new URL("./${name}", import.meta.url)`;
      });
    }
    if (found !== WORKERS) this.error(`${found} addresses of workers were found in the library, not ${WORKERS}`);
  },
};

const library: UserConfig = {
  ...shared,
  publicDir: false,
  plugins: [compactShaders, xgrammar, plainWorkerAddress],
  // Each worker is a build of its own, named after its file in src/worker.
  worker: workerBuild({
    entryFileNames: ({ name }) => (name === 'entry' ? 'worker.js' : 'bench-worker.js'),
    chunkFileNames: '[name]-[hash].js',
  }),
  build: {
    outDir: 'dist',
    emptyOutDir: false,
    target: 'es2022',
    minify: true,
    lib: { entry: { index: 'src/index.ts', selftest: 'src/selftest.ts', bench: 'src/bench.ts' }, formats: ['es'] },
  },
};

const cli: UserConfig = {
  plugins: [compactShaders, xgrammar],
  publicDir: false,
  ssr: { noExternal: true, external: ['webgpu'] },
  build: {
    outDir: 'dist',
    emptyOutDir: false,
    target: 'node20',
    ssr: 'src/cli/main.ts',
    rolldownOptions: { output: { entryFileNames: 'cli.js', codeSplitting: false } },
  },
};
