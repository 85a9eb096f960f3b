import { strictEqual } from 'node:assert';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../base/crc32.ts';
import { sha256 } from '../../base/digest.ts';
import { viewOf } from '../../base/integers.ts';
import { codeOf } from '../../testing/code-of.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import {
  decodeManifest,
  emptyManifest,
  encodeManifest,
  isRefusal,
  MANIFEST_HEADER_SIZE,
  type ManifestState,
  TABLE_RECORD_SIZE,
} from './format.ts';
import { LEVEL_COUNT, Levels } from './levels.ts';

const bytesOf = (size: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: size, maxLength: size });

const facts = fc.record({
  size: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  deleteCount: fc.nat(10),
  entryCount: fc.maxSafeNat().map((count) => Math.max(count, 10)),
  rangeDeleteCount: fc.maxSafeNat(),
  rawSize: fc.maxSafeNat(),
  suffix: fc.uint8Array({ maxLength: 5 }),
  isMaxExclusive: fc.boolean(),
  isIngested: fc.boolean(),
  from: fc.option(fc.nat(1_000), { nil: undefined }),
  digest: bytesOf(32),
  level: fc.nat(LEVEL_COUNT - 1),
});

const states: fc.Arbitrary<ManifestState> = fc
  .record({
    identity: bytesOf(16),
    edit: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    nextTableNumber: fc.integer({ min: 100, max: Number.MAX_SAFE_INTEGER }),
    lastSequence: fc.integer({ min: 1_000, max: Number.MAX_SAFE_INTEGER }),
    flushedSequence: fc.nat(1_000),
    flushedPosition: fc.maxSafeNat(),
    flushedMark: bytesOf(32),
    ownerData: fc.uint8Array({ maxLength: 40 }),
    hasLog: fc.boolean(),
    cursors: fc.array(fc.option(fc.uint8Array({ maxLength: 5 }), { nil: undefined }), {
      minLength: LEVEL_COUNT,
      maxLength: LEVEL_COUNT,
    }),
    tables: fc.array(facts, { maxLength: 12 }),
  })
  .map(({ tables, ...given }) => {
    const { hasLog, flushedPosition, flushedSequence } = given;
    const inLog = Math.min(flushedPosition, flushedSequence);
    const rest = { ...given, flushedPosition: hasLog ? inLog : flushedPosition };
    const levels: TableMeta[][] = Array.from({ length: LEVEL_COUNT }, () => []);
    for (const [
      index,
      { suffix, level, isIngested, entryCount, from, ...fields },
    ] of tables.entries()) {
      levels[level]!.push({
        ...fields,
        number: index + 1,
        count: entryCount,
        minKey: Uint8Array.of(index, ...suffix),
        maxKey: Uint8Array.of(index, ...suffix, 7),
        minSequence: index * 10 + 1,
        maxSequence: index * 10 + 9,
        ingestSequence: isIngested ? 500 + index : undefined,
        ...(from === undefined ? {} : { stretch: { from, to: from + 9 } }),
      });
    }
    return { ...rest, levels: Levels.from(levels) };
  });

function plain(state: ManifestState): object {
  return { ...state, levels: state.levels.toArrays() };
}

/** Makes the end of a manifest fit what is before it. */
function sealed(bytes: Uint8Array): Uint8Array {
  const crcAt = bytes.length - 4;
  bytes.set(sha256(bytes.subarray(0, crcAt - 32)), crcAt - 32);
  viewOf(bytes).setUint32(crcAt, crc32(bytes, 0, crcAt), true);
  return bytes;
}

const small = emptyManifest({
  identity: new Uint8Array(16).fill(7),
  hasLog: true,
  nextTableNumber: 9,
  lastSequence: 90,
  levels: Levels.from([
    [],
    [
      {
        number: 8,
        size: 4_096,
        count: 5,
        deleteCount: 1,
        rangeDeleteCount: 0,
        rawSize: 77,
        minKey: Uint8Array.of(1),
        maxKey: Uint8Array.of(1, 2),
        isMaxExclusive: false,
        minSequence: 3,
        maxSequence: 80,
        ingestSequence: undefined,
        digest: new Uint8Array(32).fill(9),
      },
    ],
  ]),
});
const FIRST_TABLE = MANIFEST_HEADER_SIZE + 2 * 9;

describe('a manifest', () => {
  it('is read back as it was written, and has one encoding', () => {
    fc.assert(
      fc.property(states, (state) => {
        const bytes = encodeManifest(state);
        const decoded = decodeManifest(bytes);
        expect(isRefusal(decoded)).toBe(false);
        expect(plain(decoded as ManifestState)).toEqual(plain(state));
        expect(encodeManifest(decoded as ManifestState)).toEqual(bytes);
      }),
      { numRuns: 40 },
    );
  });

  it('is refused when any of its bits is flipped', () => {
    const bytes = encodeManifest(small);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      strictEqual(isRefusal(decodeManifest(bytes)), true);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
    strictEqual(isRefusal(decodeManifest(bytes)), false);
  });

  it('is refused when it is cut anywhere, or continued', () => {
    const bytes = encodeManifest(small);
    for (let size = 0; size < bytes.length; size += 1) {
      expect(isRefusal(decodeManifest(bytes.subarray(0, size)))).toBe(true);
    }
    expect(isRefusal(decodeManifest(Uint8Array.of(...bytes, 0)))).toBe(true);
  });

  it('under right checksums is still not believed: whatever is decoded has this encoding', () => {
    const original = encodeManifest(small);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(original.length - 37), fc.nat(255)), {
          minLength: 1,
          maxLength: 3,
        }),
        (changes) => {
          const bytes = original.slice();
          for (const [at, value] of changes) {
            bytes[at] = value;
          }
          const decoded = decodeManifest(sealed(bytes));
          if (!isRefusal(decoded)) {
            expect(encodeManifest(decoded)).toEqual(bytes);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it.each([1, 2, 4])('of another version (%i) says so, and only then', (version) => {
    const bytes = encodeManifest(small);
    bytes[4] = version;
    expect(decodeManifest(bytes)).not.toHaveProperty('version');
    expect(decodeManifest(sealed(bytes))).toMatchObject({ version, offset: 4 });
  });

  it.each([
    [
      'a key longer than the file',
      FIRST_TABLE + 108,
      [255, 255, 255, 255],
      'the manifest ends in the middle of a field',
    ],
    [
      'more tables than bytes',
      MANIFEST_HEADER_SIZE + 9,
      [255, 255, 255, 255],
      'the manifest ends in the middle of a field',
    ],
    [
      'another count of tables',
      76,
      [2],
      'the levels hold another number of tables than the header says',
    ],
    [
      'a number beyond 2^53',
      24,
      [1, 0, 0, 0, 0, 0, 0, 1],
      'a number is larger than any that is written',
    ],
    ['a flag without meaning', 72, [3], 'a flag is set that has no meaning'],
    [
      "more of the owner's bytes than there are",
      112,
      [255, 255, 255, 255],
      'the manifest ends in the middle of a field',
    ],
    ['no edit', 24, [0], 'the number of the edit is not positive'],
    ['more flushed than written', 48, [91], 'more is flushed than was ever written'],
    ['a table number not given out', 32, [8], 'table 8 has a number that was not given out yet'],
    ['a sequence above the last', 40, [79], 'table 8 has a sequence above the last one'],
    [
      'keys the wrong way round',
      FIRST_TABLE + TABLE_RECORD_SIZE,
      [2],
      'table 8: its smallest key is behind its greatest',
    ],
    [
      'sequences the wrong way round',
      FIRST_TABLE + 48,
      [81],
      'table 8: its smallest sequence is above its greatest',
    ],
    ['too many deletions', FIRST_TABLE + 24, [6], 'table 8: it has more deletions than entries'],
    ['a table without bytes', FIRST_TABLE + 8, [0, 0], 'table 8: it has no bytes'],
    [
      'a table that holds nothing',
      FIRST_TABLE + 16,
      [0, 0, 0, 0, 0, 0, 0, 0, 0],
      'table 8: it holds nothing',
    ],
    [
      'an ingested table that was never written',
      FIRST_TABLE + 104,
      [2],
      'table 8: it was ingested with a sequence that no write has',
    ],
    [
      'a hidden ingest sequence',
      FIRST_TABLE + 64,
      [1],
      'there is an ingest sequence that the flags deny',
    ],
    ['another order of keys', 64, [0x42], 'its keys are in an order that is not known here'],
  ])('with %s is refused under right checksums', (_what, at, values, reason) => {
    const bytes = encodeManifest(small);
    bytes.set(values, at);
    expect(decodeManifest(sealed(bytes))).toMatchObject({ reason });
  });

  it('with a key for a cursor that is not there, or with more than its levels, is refused under right checksums', () => {
    const withCursor = encodeManifest({
      ...small,
      cursors: small.cursors.with(0, Uint8Array.of(5)),
    });
    withCursor[MANIFEST_HEADER_SIZE + 4] = 0;
    expect(decodeManifest(sealed(withCursor))).toMatchObject({
      reason: 'there is a cursor that its flag denies',
    });
    const longer = Uint8Array.of(...encodeManifest(small), 0);
    expect(decodeManifest(sealed(longer))).toMatchObject({ reason: 'bytes follow the last level' });
  });

  it('with a cursor longer than any bound is refused under right checksums', () => {
    const cursor = new Uint8Array(65_536);
    const bytes = encodeManifest({ ...small, cursors: small.cursors.with(0, cursor) });
    expect(isRefusal(decodeManifest(bytes))).toBe(false);
    const at = MANIFEST_HEADER_SIZE + 5;
    const longer = Uint8Array.of(...bytes.slice(0, at), 1, 0, 1, 0, 0, ...bytes.slice(at + 4));
    expect(decodeManifest(sealed(longer))).toMatchObject({
      reason: 'a cursor is longer than keys may be',
    });
  });

  it('with another digest is refused under a right CRC', () => {
    const bytes = encodeManifest(small);
    const crcAt = bytes.length - 4;
    bytes[crcAt - 5]! ^= 1;
    viewOf(bytes).setUint32(crcAt, crc32(bytes, 0, crcAt), true);
    expect(decodeManifest(bytes)).toMatchObject({
      reason: 'the manifest does not match its digest',
    });
  });

  it('with overlapping tables is refused under right checksums', () => {
    const [, tables] = small.levels.toArrays();
    const bytes = encodeManifest({
      ...small,
      levels: Levels.from([[], tables!, [{ ...tables![0]!, number: 7 }]]),
    });
    // The empty level's header moves in front of both tables, which stand in level 2 then.
    const record = TABLE_RECORD_SIZE + 3;
    bytes.set(bytes.slice(FIRST_TABLE, FIRST_TABLE + record), FIRST_TABLE + 9);
    bytes.fill(0, FIRST_TABLE - 9, FIRST_TABLE + 9);
    bytes[FIRST_TABLE] = 2;
    expect(decodeManifest(sealed(bytes))).toMatchObject({
      reason: 'tables 8 and 7 of level 2 overlap',
    });
  });

  it("with too many of the owner's bytes is neither written nor believed", () => {
    const most = { ...small, ownerData: new Uint8Array(1_024).fill(3) };
    const bytes = encodeManifest(most);
    expect(decodeManifest(bytes)).toMatchObject({ ownerData: most.ownerData });
    expect(codeOf(() => encodeManifest({ ...small, ownerData: new Uint8Array(1_025) }))).toBe(
      'INTERNAL',
    );
    const longer = Uint8Array.of(
      ...bytes.slice(0, MANIFEST_HEADER_SIZE),
      3,
      ...bytes.slice(MANIFEST_HEADER_SIZE),
    );
    viewOf(longer).setUint32(112, 1_025, true);
    expect(decodeManifest(sealed(longer))).toMatchObject({
      reason: "the owner's bytes are more than a manifest keeps",
    });
  });

  it('that contradicts itself is not written', () => {
    expect(codeOf(() => encodeManifest({ ...small, lastSequence: 79 }))).toBe('INTERNAL');
    expect(codeOf(() => encodeManifest({ ...small, flushedSequence: 91 }))).toBe('INTERNAL');
    expect(codeOf(() => encodeManifest({ ...small, identity: new Uint8Array(15) }))).toBe(
      'INTERNAL',
    );
  });

  it('of this format version is always these bytes', () => {
    const digest = Buffer.from(sha256(encodeManifest(small))).toString('hex');
    expect(digest).toMatchInlineSnapshot(
      `"16ac8c717120819728eca5b297dc8cd9979c0ade1fdf19732ac1e380054e458e"`,
    );
  });
});
