/** The part of Trusted Types that is used here; TypeScript's DOM types do not have it yet. */
interface PolicyFactory {
  createPolicy(name: string, rules: { createScriptURL(address: string): string }): unknown;
}

/**
 * Starting a worker takes a script's address, which the page's Content-Security-Policy guards with Trusted Types: only scripts
 * of this site may be one.
 */
export function guardScriptAddresses(): void {
  const { trustedTypes } = globalThis as { readonly trustedTypes?: PolicyFactory };
  trustedTypes?.createPolicy('default', {
    createScriptURL(address) {
      if (new URL(address, location.href).origin === location.origin) return address;
      throw new TypeError(`not a script of this site: ${address}`);
    },
  });
}
