import { InternalError } from '../errors';
import type { Activation, ActivationType } from './op';

/** Throws InternalError naming op and quantity when a shape is not what the op needs. */
export function expectShape(op: string, what: string, found: number | string, expected: number | string): void {
  if (found !== expected) throw new InternalError(`${op}: ${what} is ${found}, expected ${expected}`);
}

/** Throws InternalError when `value` is no integer in [minimum, maximum]. */
export function expectInteger(op: string, what: string, value: number, minimum: number, maximum = 2 ** 31): void {
  if (!Number.isInteger(value) || value < minimum || value > maximum) {
    throw new InternalError(`${op}: ${what} is ${value}, expected an integer in [${minimum}, ${maximum}]`);
  }
}

export function elementBytes(type: ActivationType): number {
  return type === 'f16' ? 2 : 4;
}

/** Bytes of one row. */
export function rowBytes(tensor: Activation): number {
  return tensor.cols * elementBytes(tensor.type);
}
