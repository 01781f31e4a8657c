/** As in package.json: measurements of another version's kernels do not count. */
export const PACKAGE_VERSION = '0.1.0';
