const GIB = 2 ** 30;

/**
 * Bytes that a model may take on this device, roughly: browsers tell no more than the machine's memory in GiB, and some nothing. Half of
 * it is left to everything else; phones, which end tabs that are large, get less.
 */
export function memoryBudget(): number {
  const { deviceMemory, userAgent = '' } = (globalThis.navigator ?? {}) as {
    readonly deviceMemory?: number;
    readonly userAgent?: string;
  };
  const isPhone = /\b(?:Android|iPhone|iPad|Mobile)\b/.test(userAgent);
  const memory = (deviceMemory ?? (isPhone ? 4 : 8)) * GIB;
  return isPhone ? memory / 3 : memory / 2;
}
