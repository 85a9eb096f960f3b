/** Keys as paths: what a listing by prefix and delimiter needs. */
import { commonPrefixSize } from '../base/compare-bytes.ts';

/** The smallest key greater than every key that starts with `prefix`; undefined if no key is greater than all of them. */
export function successorOfPrefix(prefix: Uint8Array): Uint8Array | undefined {
  let size = prefix.length;
  while (size > 0 && prefix[size - 1] === 0xff) {
    size -= 1;
  }
  if (size === 0) {
    return undefined;
  }
  const successor = prefix.slice(0, size);
  successor[size - 1]! += 1;
  return successor;
}

export function startsWith(key: Uint8Array, prefix: Uint8Array): boolean {
  return commonPrefixSize(key, 0, key.length, prefix, 0, prefix.length) === prefix.length;
}

/** End of the path component that begins at `start`, its delimiter included; -1 if none follows. Not for an empty delimiter. */
export function endOfComponent(key: Uint8Array, start: number, delimiter: Uint8Array): number {
  const size = delimiter.length;
  for (let at = start; at + size <= key.length; at += 1) {
    if (commonPrefixSize(key, at, at + size, delimiter, 0, size) === size) {
      return at + size;
    }
  }
  return -1;
}
