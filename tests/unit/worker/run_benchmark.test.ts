import { expect, test } from 'vitest';
import { runtimeName } from '../../../src/worker/run_benchmark';

const WEBKIT = 'AppleWebKit/605.1.15 (KHTML, like Gecko)';

test.each([
  [`Mozilla/5.0 (X11; Linux x86_64) ${WEBKIT} Chrome/141.0.1 Safari/537.36`, 'Chrome 141.0.1 (X11; Linux x86_64)'],
  [
    `Mozilla/5.0 (X11; Linux x86_64) ${WEBKIT} HeadlessChrome/141.0.1 Safari/537.36`,
    'Chrome 141.0.1 (X11; Linux x86_64)',
  ],
  [`Mozilla/5.0 (Windows NT 10.0) ${WEBKIT} Chrome/141.0.1 Safari/537.36 Edg/141.2`, 'Edge 141.2 (Windows NT 10.0)'],
  [`Mozilla/5.0 (Macintosh) ${WEBKIT} Version/26.1 Safari/605.1.15`, 'Safari 26.1 (Macintosh)'],
  ['Mozilla/5.0 (Android 16; rv:141.0) Gecko/141.0 Firefox/141.0', 'Firefox 141.0 (Android 16; rv:141.0)'],
  ['Node.js/22', 'Node 22'],
  ['something else', 'something else'],
])('%s', (userAgent, name) => {
  expect(runtimeName(userAgent)).toBe(name);
});
