/** Small texts by name that outlive a visit: what was measured on this machine. Losing them costs time, never an answer. */
export interface TextStore {
  /** Undefined where there is nothing, or nothing can be read. */
  read(name: string): Promise<string | undefined>;
  /** Resolves also when the text could not be kept. */
  write(name: string, text: string): Promise<void>;
}

const CACHE = 'tessera-texts';

/** In the browser's cache storage, which workers have too. Undefined where there is none: outside of browsers, or on an insecure page. */
export function browserTextStore(): TextStore | undefined {
  if (!('caches' in globalThis)) return undefined;
  // Cache storage is keyed by address; nothing is ever requested from this one.
  const address = (name: string): string => `https://tessera.invalid/${encodeURIComponent(name)}`;
  return {
    async read(name) {
      try {
        const found = await (await caches.open(CACHE)).match(address(name));
        return await found?.text();
      } catch {
        // Storage may be switched off.
        return undefined;
      }
    },
    async write(name, text) {
      try {
        await (await caches.open(CACHE)).put(address(name), new Response(text));
      } catch {
        // Out of quota, or switched off: the next visit measures again.
      }
    },
  };
}
