import { deepStrictEqual, ok } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commonPrefixSize } from '../../base/compare-bytes.ts';
import { TRAILER_SIZE } from './format.ts';
import { shortenSeparator, TableIndex, TableIndexBuilder } from './table-index.ts';

const keys = fc
  .array(fc.constantFrom(0, 1, 2, 97, 254, 255), { maxLength: 7 })
  .map((bytes) => Uint8Array.from(bytes));

interface Separator {
  readonly key: Uint8Array;
  readonly sequence: number;
}

const BLOCK_SIZE = 100;

function indexOf(separators: readonly Separator[]): TableIndex {
  const builder = new TableIndexBuilder();
  separators.forEach(({ key, sequence }, index) =>
    builder.add(48 + index * BLOCK_SIZE, key, key.length, sequence),
  );
  const bytes = builder.finish();
  const payload = bytes.subarray(0, bytes.length - TRAILER_SIZE);
  const index = TableIndex.decode(payload, 48, 48 + separators.length * BLOCK_SIZE);
  if ('reason' in index) {
    throw new Error(index.reason);
  }
  return index;
}

function shorten(last: string, next: string): string {
  const bytes = Buffer.from(last, 'latin1');
  const other = Buffer.from(next, 'latin1');
  const shared = commonPrefixSize(bytes, 0, bytes.length, other, 0, other.length);
  return bytes.toString('latin1', 0, shortenSeparator(bytes, bytes.length, other, 0, shared));
}

describe('a separator', () => {
  it('is not smaller than the last key, smaller than the next and not longer than either needs', () => {
    fc.assert(
      fc.property(keys, keys, (one, other) => {
        const order = Buffer.compare(one, other);
        fc.pre(order !== 0);
        const [last, next] = order < 0 ? [one, other] : [other, one];
        const padded = Uint8Array.from([9, ...next]);
        const shared = commonPrefixSize(last, 0, last.length, next, 0, next.length);
        const buffer = last.slice();
        const size = shortenSeparator(buffer, last.length, padded, 1, shared);
        const separator = buffer.subarray(0, size);
        ok(Buffer.compare(separator, last) >= 0);
        ok(Buffer.compare(separator, next) < 0);
        ok(size <= last.length);
        deepStrictEqual(buffer.subarray(0, shared), last.subarray(0, shared));
      }),
      { numRuns: 200 },
    );
  });

  it('is short where the keys are long', () => {
    expect(shorten('users/adam', 'users/zoe')).toBe('users/b');
    expect(shorten('users/adam', 'users/bob')).toBe('users/ae');
    expect(shorten('a\xff\xffbcd', 'b')).toBe('a\xff\xffc');
    expect(shorten('a', 'ab')).toBe('a');
  });
});

describe('an index', () => {
  it('finds the first block whose separator is not before a place', () => {
    const separators = fc
      .uniqueArray(fc.record({ key: keys, sequence: fc.nat(4) }), {
        minLength: 1,
        maxLength: 30,
        selector: ({ key, sequence }) => `${key.join()}@${sequence}`,
      })
      .map((found) =>
        found.sort((a, b) => Buffer.compare(a.key, b.key) || b.sequence - a.sequence),
      );
    fc.assert(
      fc.property(separators, keys, fc.nat(5), fc.nat(3), (list, key, sequence, prefixSize) => {
        const prefix = [97, 255, 0].slice(0, prefixSize);
        const place = Uint8Array.from([...prefix.slice(0, key.length % 4), ...key]);
        const all = list.map((each) => ({
          ...each,
          key: Uint8Array.from([...prefix, ...each.key]),
        }));
        const expected = all.findIndex(({ key: separator, sequence: at }) => {
          const order = Buffer.compare(separator, place);
          return order > 0 || (order === 0 && at <= sequence);
        });
        const index = indexOf(all);
        expect(index.find(place, sequence)).toBe(expected === -1 ? all.length : expected);
      }),
      { numRuns: 150 },
    );
  });

  it('without blocks finds none', () => {
    const index = indexOf([]);
    expect([index.count, index.find(new Uint8Array(0), 1)]).toEqual([0, 0]);
  });

  it('is refused if its numbers cannot be', () => {
    const builder = new TableIndexBuilder();
    builder.add(48, Uint8Array.of(1), 1, 0);
    builder.add(148, Uint8Array.of(2), 1, 0);
    const bytes = builder.finish().subarray(0, -TRAILER_SIZE);
    const decode = (change: (view: DataView) => void): object => {
      const copy = bytes.slice();
      change(new DataView(copy.buffer));
      return TableIndex.decode(copy, 48, 248);
    };
    expect(decode(() => undefined)).toBeInstanceOf(TableIndex);
    const changes: ((view: DataView) => void)[] = [
      (view) => view.setUint32(0, 3, true),
      (view) => view.setUint32(0, 0xffff_ffff, true),
      (view) => view.setUint32(4, 49, true), // the first block begins elsewhere
      (view) => view.setUint32(24, 56, true), // a block too small
      (view) => view.setUint32(24, 240, true),
      (view) => view.setUint32(28, 0xffff_ffff, true), // an offset that is no safe integer
      (view) => view.setUint32(16, 0xffff_ffff, true), // nor a sequence
      (view) => view.setUint32(20, 0xffff_ffff, true), // a key behind the end
      (view) => view.setUint32(40, 1, true), // keys that are not all used
      (view) => view.setUint8(44, 3), // keys out of order
    ];
    for (const change of changes) {
      expect(decode(change)).toHaveProperty('reason');
    }
    expect(TableIndex.decode(bytes.subarray(0, 3), 48, 248)).toHaveProperty('reason');
  });
});
