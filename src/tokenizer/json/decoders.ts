import { fromByteLevel } from '../byte_level';
import { checkGrowth } from '../growth';
import { byteOfToken } from '../spaces';
import type { Fields } from './fields';
import { readReplace } from './normalizers';
import { flatten, unsupported } from './steps';

export interface Decoder {
  /** The bytes that a token stands for, wherever it stands. */
  readonly bytesOf: (text: string) => Uint8Array<ArrayBuffer>;
  /** Whether a space at the beginning of a text is none of the text's. */
  readonly stripsLeadingSpace: boolean;
}

/** `decoder` of tokenizer.json: what a token's text becomes, token by token, since text is to stream. */
export function readDecoder(component: Fields | undefined): Decoder {
  const steps = flatten(component, 'decoders');
  const encoder = new TextEncoder();
  if (steps.length === 0) return { bytesOf: (text) => encoder.encode(` ${text}`), stripsLeadingSpace: true };
  const replacements: ((text: string) => string)[] = [];
  let isByteLevel = false;
  let hasByteTokens = false;
  let stripsLeadingSpace = false;
  for (const step of steps) {
    const type = step.text('type');
    switch (type) {
      case 'ByteLevel':
        isByteLevel = true;
        break;
      case 'ByteFallback':
        hasByteTokens = true;
        break;
      case 'Fuse':
        break;
      case 'Replace':
        replacements.push(readReplace(step));
        break;
      case 'Strip': {
        const isOfSpace = step.text('content') === ' ' && step.count('start') <= 1 && step.count('stop') === 0;
        if (!isOfSpace) throw unsupported(step.where, 'a decoder that strips more than one space at the start');
        stripsLeadingSpace = step.count('start') === 1;
        break;
      }
      case 'Metaspace': {
        const replacement = step.optionalText('replacement') ?? '\u2581';
        const prepends = (step.optionalText('prepend_scheme') ?? 'always') !== 'never';
        if (replacement === '') throw unsupported(step.where, 'a replacement of nothing');
        replacements.push((text) => text.replaceAll(replacement, ' '));
        stripsLeadingSpace = prepends && step.flag('add_prefix_space', true);
        break;
      }
      case 'WordPiece': {
        const prefix = step.optionalText('prefix') ?? '##';
        replacements.push((text) => (text.startsWith(prefix) ? text.slice(prefix.length) : ` ${text}`));
        stripsLeadingSpace = true;
        break;
      }
      default:
        throw unsupported(step.where, `the decoder "${type}"`);
    }
  }
  const bytesOf = (text: string) => {
    const byte = hasByteTokens ? byteOfToken(text) : undefined;
    if (byte !== undefined) return Uint8Array.of(byte);
    const done = replacements.reduce((made, replace) => {
      const next = replace(made);
      checkGrowth(next.length, text.length, component?.where ?? 'decoder');
      return next;
    }, text);
    return isByteLevel ? fromByteLevel(done) : encoder.encode(done);
  };
  return { bytesOf, stripsLeadingSpace };
}
