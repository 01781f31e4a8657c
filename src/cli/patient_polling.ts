/** In milliseconds: what takes less is noticed at once. */
const EAGER = 2;
/** In milliseconds. */
const PAUSE = 1;

let patient = false;

/**
 * Lets Dawn in Node wait without a processor of its own. As long as anything is under way on a device it looks for news in each turn of the
 * event loop, by `setImmediate`: a core that a software GPU would use to compile and compute. From now on it looks each millisecond once
 * it has looked for a while. Callbacks that JavaScript made are not touched. For software adapters alone: on a GPU of its own a
 * millisecond may be a third of a step.
 */
export function pollPatiently(): void {
  if (patient) return;
  patient = true;
  const { setImmediate: immediately, setTimeout: later } = globalThis;
  let begun = 0;
  let last = Number.NEGATIVE_INFINITY;
  const patiently = (callback: (...args: unknown[]) => void, ...args: unknown[]): unknown => {
    if (!isNative(callback)) return immediately(callback, ...args);
    const now = performance.now();
    // A longer gap: it had nothing to wait for.
    if (now - last > 5 * PAUSE) begun = now;
    last = now;
    return now - begun < EAGER ? immediately(callback, ...args) : later(callback, PAUSE, ...args);
  };
  // Its promisify symbol stays.
  globalThis.setImmediate = Object.assign(patiently, immediately) as typeof setImmediate;
}

function isNative(callback: unknown): boolean {
  return typeof callback === 'function' && Function.prototype.toString.call(callback).includes('[native code]');
}
