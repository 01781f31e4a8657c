import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';

const NAME = 'virtual:xgrammar';

/** Apache-2.0 asks for both. */
const NOTICE =
  '/*! XGrammar 0.1.27, Copyright (c) 2024 by XGrammar Contributors, with picojson (BSD-2-Clause). Licensed under Apache-2.0 (https://www.apache.org/licenses/LICENSE-2.0). Changed: only the WebAssembly module, without merging states. */';

/** Where the package asks for its own address: a script element's, or CommonJS's. */
const ADDRESS =
  /\(typeof document === 'undefined' && typeof location === 'undefined' \? require\('u' \+ 'rl'\)\.pathToFileURL\(__filename\)\.href : typeof document === 'undefined' \? location\.href : \(_documentCurrentScript && _documentCurrentScript\.tagName\.toUpperCase\(\) === 'SCRIPT' && _documentCurrentScript\.src \|\| new URL\('index\.js', document\.baseURI\)\.href\)\)/g;

/** The module as it is embedded. */
const EMBEDDED = /data:application\/octet-stream;base64,([A-Za-z0-9+/=]+)/;

/**
 * Where a rule's automaton is left as it is because it has too many states: `(end - begin) >= 1200001`, then `if`. With 0 in place of the
 * number every one is left, and the pass that merges its states does nothing: in this version it makes grammars accept what they forbid
 * (upstream issue 618, fixed by pull request 632, in no release for the web).
 */
const LIMIT = [0x6b, 0x41, 0x81, 0x9f, 0xc9, 0x00, 0x4e, 0x04, 0x40];
const NO_LIMIT = [0x6b, 0x41, 0x80, 0x80, 0x80, 0x00, 0x4e, 0x04, 0x40];

/** The same module without the pass; undefined when it is not the one that is known here. */
function repaired(base64: string): string | undefined {
  const module = Buffer.from(base64, 'base64');
  const at = module.indexOf(Buffer.from(LIMIT));
  if (at < 0 || module.includes(Buffer.from(LIMIT), at + 1)) return undefined;
  module.set(NO_LIMIT, at);
  return module.toString('base64');
}

/**
 * `virtual:xgrammar` is the WebAssembly module inside of @mlc-ai/web-xgrammar, as a function that makes a fresh instance. The package itself
 * is a script that sets a global variable, does not run in Node as a module, keeps one instance for ever (one that a bad grammar has
 * aborted too) and writes to the console: see docs/decisions/0009-structured-output.md. Fails when the package's form has changed.
 */
export const xgrammar: Plugin = {
  name: 'xgrammar',
  resolveId: (id) => (id === NAME ? `\0${NAME}` : undefined),
  load(id) {
    if (id !== `\0${NAME}`) return undefined;
    const code = readFileSync(fileURLToPath(import.meta.resolve('@mlc-ai/web-xgrammar')), 'utf8');
    const start = code.indexOf('var Module = (() => {');
    const end = code.indexOf('/**', start);
    const embedded = EMBEDDED.exec(code)?.[1] ?? '';
    const module = repaired(embedded);
    const body = code
      .slice(start, end)
      .replace(embedded, module ?? '')
      .replaceAll(ADDRESS, 'import.meta.url')
      // Node's, never reached in a browser: no business of bundlers.
      .replace("import('module')", "import(/* @vite-ignore */ ['node', 'module'].join(':'))");
    if (
      start < 0 ||
      end < 0 ||
      module === undefined ||
      /require\('u'|__filename|_documentCurrentScript/.test(body) ||
      !body.includes("['node'")
    ) {
      this.error('@mlc-ai/web-xgrammar has another form than this plugin knows');
    }
    return `${NOTICE}\n${body}\nexport default Module;`;
  },
};
