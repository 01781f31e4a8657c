#!/usr/bin/env node
import { existsSync } from 'node:fs';

const built = new URL('../dist/cli.js', import.meta.url);
if (!existsSync(built)) {
  console.error('tessera: dist/cli.js is missing: run "npm run build" first');
  process.exit(1);
}
// Who reads only the beginning (`| head`) leaves nobody to write to: that is no failure.
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') console.error(`tessera: standard output: ${error.message}`);
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});
const { main } = await import(built.href);
const status = await main(process.argv.slice(2));
// Dawn keeps the event loop alive, so the process ends here and not by itself; what is on its way to a pipe must arrive first.
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write('', done))));
process.exit(status);
