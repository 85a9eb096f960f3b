import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareKeys } from '../base/compare-bytes.ts';
import { isRefusal } from '../base/refusal.ts';
import {
  Axis,
  decodeChunk,
  decodeCounts,
  decodeHead,
  decodeOwnerData,
  encodeCounts,
  encodeOwnerData,
  firstRevisionBefore,
  postingKey,
  putHead,
  putVarint,
} from './format.ts';

const safe = fc.nat({ max: 2 ** 48 - 1 });

describe('derived data as bytes', () => {
  it('gives heads back, and refuses what is cut, too long or impossible', () => {
    fc.assert(
      fc.property(safe, safe, (a, b) => {
        const [revision, position] = a < b ? [a, b] : [b, a];
        const bytes = new Uint8Array(16);
        const size = putHead(bytes, revision, position);
        expect(decodeHead(bytes, 0, size)).toEqual({ revision, position });
        expect(decodeHead(bytes, 0, size - 1)).toBeUndefined();
        expect(decodeHead(bytes, 0, size + 1)).toBeUndefined();
        const wrong = putHead(bytes, position + 1, position);
        expect(decodeHead(bytes, 0, wrong)).toBeUndefined();
      }),
    );
  });

  it('refuses chunks that no run makes', () => {
    const bytes = new Uint8Array(40);
    let at = putVarint(bytes, 0, 2);
    at = putVarint(bytes, at, 5);
    at = putVarint(bytes, at, 0);
    expect(decodeChunk(bytes, 0, at)).toEqual(Float64Array.of(5, 6));
    expect(decodeChunk(bytes, 0, at - 1)).toBeUndefined();
    expect(decodeChunk(bytes, 0, at + 1)).toBeUndefined();
    expect(decodeChunk(Uint8Array.of(0), 0, 1)).toBeUndefined();
    expect(decodeChunk(new Uint8Array(20).fill(0xff), 0, 20)).toBeUndefined();
    const large = putVarint(bytes, 0, 1_025);
    expect(decodeChunk(bytes, 0, large)).toBeUndefined();
  });

  it('sorts newer chunks of a stream before older ones, and each stream by itself', () => {
    const keys = [
      postingKey('a', 2_000),
      postingKey('a', 7),
      postingKey('a', 0),
      postingKey('a/b', 9),
      postingKey('b', 2 ** 40),
    ];
    expect(keys.toSorted((left, right) => compareKeys(left, right))).toEqual(keys);
    expect(keys[0]![0]).toBe(Axis.posting);
    expect(firstRevisionBefore(keys[4]!, keys[4]!.length)).toBe(2 ** 40);
  });

  it('gives counts and what the manifest keeps back', () => {
    const counts = { streams: 1, keys: 2 ** 41, ids: 3 };
    expect(decodeCounts(encodeCounts(counts))).toEqual(counts);
    expect(decodeCounts(new Uint8Array(17))).toBeUndefined();
    const data = { storeIdentity: new Uint8Array(16).fill(1), secret: new Uint8Array(8).fill(2) };
    const bytes = encodeOwnerData(data);
    expect(decodeOwnerData(bytes)).toEqual(data);
    for (let size = 0; size < bytes.length; size += 1) {
      expect(isRefusal(decodeOwnerData(bytes.subarray(0, size)))).toBe(true);
    }
    bytes[0] = 2;
    expect(decodeOwnerData(bytes)).toEqual({ reason: 'it was made by another version' });
  });
});
