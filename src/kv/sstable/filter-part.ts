/** The filter of a table: number of probes (1), seven reserved bytes, then the filter's lines. */
import { firstNonZero } from '../../base/integers.ts';
import { BloomFilter } from '../../collections/bloom-filter.ts';
import type { Refusal } from '../../base/refusal.ts';
import { TRAILER_SIZE } from './format.ts';

const HEAD_SIZE = 8;

/**
 * The payload of the part, with room for a trailer. `hashes`: two words for each key.
 */
export function encodeFilter(
  hashes: Uint32Array,
  keyCount: number,
  bitsPerKey: number,
): Uint8Array<ArrayBuffer> {
  const filter = BloomFilter.forKeys(keyCount, bitsPerKey);
  for (let at = 0; at < keyCount * 2; at += 2) {
    filter.add(hashes[at]!, hashes[at + 1]!);
  }
  const bytes = new Uint8Array(HEAD_SIZE + filter.bytes.length + TRAILER_SIZE);
  bytes[0] = filter.probeCount;
  bytes.set(filter.bytes, HEAD_SIZE);
  return bytes;
}

/** Returns a reason if the bytes can't be such a part. */
export function decodeFilter(payload: Uint8Array): BloomFilter | Refusal {
  const probeCount = payload[0] ?? 0;
  if (
    !BloomFilter.isPossible(payload.length - HEAD_SIZE, probeCount) ||
    firstNonZero(payload, 1, HEAD_SIZE) !== HEAD_SIZE
  ) {
    return { reason: 'the filter is not laid out as filters are' };
  }
  return new BloomFilter(payload.slice(HEAD_SIZE), probeCount);
}
