import { strictEqual } from 'node:assert';
import { crc32, deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { CorruptionError } from '../../base/errors.ts';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import {
  compareEntries,
  entryAt,
  getFrom,
  makeSample,
  openSample,
  type SampleEntry,
  type SampleOptions,
  sampleIdentity,
  samplePath,
  scanAll,
  text,
} from './table-sample.ts';
import type { TableMeta } from './table-meta.ts';
import {
  decodeFooter,
  encodeFooter,
  FOOTER_SIZE,
  HEADER_SIZE,
  PAYLOAD_SIZE_MAX,
  type TableFooter,
  TablePlace,
  TRAILER_SIZE,
  writeTrailer,
} from './format.ts';
import { wholeKeys } from './filter-rule.ts';
import { readTableMeta } from './table-file.ts';
import type { TableReader } from './table-reader.ts';

const entries: SampleEntry[] = ['', 'a', 'ab', 'hot', 'hot', 'x'].map((key, index) => ({
  key: text(key),
  sequence: 100 - index,
  value: index === 2 ? undefined : text(`value ${index}`.repeat(2)),
}));
const rangeTombstones = [{ start: text('c'), end: text('d'), sequence: 95 }];
const options: SampleOptions = {
  settings: { blockSize: 96, filter: wholeKeys(4) },
  rangeTombstones,
  inputs: [3],
};

function sample(given: SampleOptions = options): {
  readonly fileSystem: SimulatedFileSystem;
  readonly meta: TableMeta;
} {
  const fileSystem = new SimulatedFileSystem();
  return { fileSystem, meta: makeSample(fileSystem, samplePath, entries, given) };
}

/** What `action` gives, or 'damage' if it reports some. Any other failure is a failure of the test. */
function orDamage<Result>(action: () => Result): Result | 'damage' {
  try {
    return action();
  } catch (error) {
    if (error instanceof CorruptionError && error.file === samplePath) {
      return 'damage';
    }
    throw error;
  }
}

const damageOf = (action: () => unknown): unknown => {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
};

/** Reads in every way; each either gives what was written or reports damage. Returns how many did. */
function readEverything(reader: TableReader): number {
  let damaged = 0;
  for (const entry of entries) {
    const found = orDamage(() => getFrom(reader, entry.key, entry.sequence));
    damaged += isDamageOr(found === 'damage' ? found : [found], [entry]);
  }
  for (const fillCache of [true, false]) {
    damaged += isDamageOr(
      orDamage(() => scanAll(reader.cursor({ fillCache }))),
      entries,
    );
  }
  return damaged;
}

/** 1 for damage, 0 for what was expected; a thorough comparison is made only to report a difference. */
function isDamageOr(
  found: readonly (SampleEntry | undefined)[] | 'damage',
  expected: readonly SampleEntry[],
): number {
  if (found === 'damage') {
    return 1;
  }
  if (
    found.length !== expected.length ||
    !expected.every((entry, index) => isSameEntry(entry, found[index]))
  ) {
    expect(found).toEqual(expected);
  }
  return 0;
}

function isSameEntry(one: SampleEntry, other: SampleEntry | undefined): boolean {
  return (
    other !== undefined &&
    compareEntries(one, other) === 0 &&
    (one.value === undefined) === (other.value === undefined) &&
    Buffer.compare(one.value ?? text(''), other.value ?? text('')) === 0
  );
}

function withBytes(bytes: Uint8Array): SimulatedFileSystem {
  const fileSystem = new SimulatedFileSystem();
  fileSystem.writeFile(samplePath, bytes);
  return fileSystem;
}

function footerOf(bytes: Uint8Array): TableFooter {
  const footer = decodeFooter(bytes.subarray(-FOOTER_SIZE), bytes.length - FOOTER_SIZE);
  expect(footer).not.toHaveProperty('reason');
  return footer as TableFooter;
}

describe('a damaged table', () => {
  it('with any bit flipped gives what was written or says CORRUPT, and never verifies', () => {
    const { fileSystem, meta } = sample();
    let opened = 0;
    let isNoticed = true;
    for (let bit = 0; bit < meta.size * 8; bit += 1) {
      fileSystem.flipBit(samplePath, bit >>> 3, bit & 7);
      const reader = orDamage(() => openSample(fileSystem, meta));
      if (reader !== 'damage') {
        opened += 1;
        isNoticed &&= orDamage(() => reader.verify()) === 'damage';
        // Two bits of each byte, others in the next.
        if ((bit + (bit >>> 3)) % 4 === 0) {
          isNoticed &&= readEverything(reader) > 0;
        }
        reader.close();
      }
      fileSystem.flipBit(samplePath, bit >>> 3, bit & 7);
    }
    expect(isNoticed).toBe(true);
    // Damage to a data block does not keep a table from being opened; all other damage does.
    const dataEnd = footerOf(fileSystem.readFile(samplePath)).rangeTombstones.offset;
    expect(opened).toBe((dataEnd - HEADER_SIZE) * 8);
    expect(fileSystem.openCount).toBe(0);
  });

  it('that is damaged while it is open does not verify', () => {
    const { fileSystem, meta } = sample();
    const reader = openSample(fileSystem, meta);
    for (let offset = 0; offset < meta.size; offset += 5) {
      fileSystem.flipBit(samplePath, offset, 3);
      expect(orDamage(() => reader.verify())).toBe('damage');
      fileSystem.flipBit(samplePath, offset, 3);
    }
    reader.verify();
  });

  it('of any shorter size, or longer, is refused', () => {
    const { fileSystem, meta } = sample();
    const bytes = fileSystem.readFile(samplePath);
    for (let size = 0; size < bytes.length; size += 1) {
      const cut = withBytes(bytes.subarray(0, size));
      strictEqual(
        orDamage(() => openSample(cut, meta)),
        'damage',
      );
      strictEqual(
        orDamage(() => openSample(cut, { ...meta, size })),
        'damage',
      );
      strictEqual(
        orDamage(() => readTableMeta(cut, samplePath, sampleIdentity)),
        'damage',
      );
    }
    const longer = withBytes(Uint8Array.from([...bytes, 0]));
    strictEqual(
      orDamage(() => openSample(longer, meta)),
      'damage',
    );
    strictEqual(
      orDamage(() => openSample(longer, { ...meta, size: meta.size + 1 })),
      'damage',
    );
  });

  it('that is cut while it is open is damage where it was cut', () => {
    const { fileSystem, meta } = sample();
    const reader = openSample(fileSystem, meta);
    const file = fileSystem.open(samplePath, 'write');
    file.truncate(HEADER_SIZE + 10);
    file.close();
    const expected = { code: 'CORRUPT', offset: HEADER_SIZE + 10 };
    expect(damageOf(() => getFrom(reader, text('')))).toMatchObject(expected);
    const cursor = reader.cursor({ fillCache: false });
    expect(damageOf(() => cursor.seekFirst())).toMatchObject(expected);
    expect(entryAt(cursor)).toBe(undefined);
  });

  it('that is missing is damage, too', () => {
    const { fileSystem, meta } = sample();
    fileSystem.removeFile(samplePath);
    expect(damageOf(() => openSample(fileSystem, meta))).toMatchObject({
      code: 'CORRUPT',
      reason: 'the table is missing',
    });
  });
});

describe('a table in the wrong place', () => {
  it('belongs to one store and has one number', () => {
    const { fileSystem, meta } = sample();
    const identity = sampleIdentity.map((byte) => byte ^ 1);
    for (const open of [
      () => openSample(fileSystem, meta, { identity }),
      () => readTableMeta(fileSystem, samplePath, identity),
    ]) {
      expect(damageOf(open)).toMatchObject({
        code: 'CORRUPT',
        offset: 8,
        reason: 'the table belongs to another store',
      });
    }
    expect(orDamage(() => openSample(fileSystem, { ...meta, number: 8 }))).toBe('damage');
  });

  it('is not what the manifest names if any fact differs', () => {
    const { fileSystem, meta } = sample();
    const others: Partial<TableMeta>[] = [
      { size: meta.size - 1 },
      { count: 5 },
      { deleteCount: 2 },
      { rangeDeleteCount: 0 },
      { rawSize: 1 },
      { minKey: text('a') },
      { maxKey: text('z') },
      { isMaxExclusive: true },
      { minSequence: 1 },
      { maxSequence: 101 },
      { digest: meta.digest.map((byte) => byte ^ 1) },
    ];
    for (const other of others) {
      expect(orDamage(() => openSample(fileSystem, { ...meta, ...other }))).toBe('damage');
    }
    openSample(fileSystem, meta).close();
  });

  it.each([
    ['of another table', { ...options, number: 8 }],
    ['of another store', { ...options, identity: new Uint8Array(16) }],
  ])('is found out by a block %s', (_name, other) => {
    const { fileSystem, meta } = sample();
    const bytes = fileSystem.readFile(samplePath);
    const foreign = sample(other).fileSystem.readFile(samplePath);
    const dataEnd = footerOf(bytes).rangeTombstones.offset;
    expect(foreign.length).toBe(bytes.length);
    bytes.set(foreign.subarray(HEADER_SIZE, dataEnd), HEADER_SIZE);
    const reader = openSample(withBytes(bytes), meta);
    expect(readEverything(reader)).toBe(entries.length + 2);
  });

  it('is found out by a block at the offset of another', () => {
    // Two blocks of the same size.
    const same = ['k1', 'k2', 'k3', 'k4'].map((key) => ({
      key: text(key),
      sequence: 1,
      value: new Uint8Array(60),
    }));
    const fileSystem = new SimulatedFileSystem();
    const meta = makeSample(fileSystem, samplePath, same, { settings: { blockSize: 64 } });
    const bytes = fileSystem.readFile(samplePath);
    const size = (footerOf(bytes).rangeTombstones.offset - HEADER_SIZE) / 4;
    expect(Number.isInteger(size)).toBe(true);
    const first = bytes.slice(HEADER_SIZE, HEADER_SIZE + size);
    bytes.copyWithin(HEADER_SIZE, HEADER_SIZE + size, HEADER_SIZE + 2 * size);
    bytes.set(first, HEADER_SIZE + size);
    const reader = openSample(withBytes(bytes), meta);
    for (const [index, { key }] of same.entries()) {
      expect(orDamage(() => getFrom(reader, key)) === 'damage').toBe(index < 2);
    }
  });
});

describe('a table that was written wrongly', () => {
  const place = new TablePlace(sampleIdentity, 7);

  /** Replaces the first block by one with a right checksum, whatever it says. */
  function withFirstBlock(payload: Uint8Array, plainSize: number, tag: number): TableReader {
    // What a block of one entry has beside its value.
    const overhead = 33;
    const value = new Uint8Array(Math.max(payload.length - overhead, 40));
    value.set(Array.from({ length: value.length }, (_, index) => (index * 97) % 251));
    const fileSystem = new SimulatedFileSystem();
    const one = [{ key: text('k'), sequence: 1, value }];
    const meta = makeSample(fileSystem, samplePath, one, { settings: { blockSize: 4_096 } });
    const bytes = fileSystem.readFile(samplePath);
    const blockSize = footerOf(bytes).rangeTombstones.offset - HEADER_SIZE;
    // Padded to the size of the block it replaces, if it is smaller.
    const target = {
      bytes: bytes.subarray(HEADER_SIZE, HEADER_SIZE + blockSize),
      start: 0,
      payloadEnd: blockSize - TRAILER_SIZE,
    };
    target.bytes.fill(0, 0, target.payloadEnd);
    target.bytes.set(payload);
    writeTrailer(target, plainSize, tag, place, HEADER_SIZE);
    return openSample(withBytes(bytes), meta);
  }

  it.each([
    ['more bytes than there are', 1_001, /decompresses to 1000/],
    ['fewer bytes than there are', 999, /cannot be decompressed/],
    ['no bytes', 0, /cannot be decompressed/],
    ['more than any block has', PAYLOAD_SIZE_MAX + 1, /larger than blocks are/],
    ['gigabytes', 0xffff_ffff, /larger than blocks are/],
    ['what there is, with a byte behind it,', 1_000, /cannot be decompressed/],
  ])('with a compressed block that promises %s is damage', (_name, plainSize, reason) => {
    const noise = Uint8Array.from({ length: 1_000 }, (_, index) =>
      crc32(Buffer.of(index, index >> 8)),
    );
    const compressed = deflateRawSync(noise);
    const rest = plainSize === 1_000 ? Buffer.of(0) : Buffer.of();
    const reader = withFirstBlock(Buffer.concat([compressed, rest]), plainSize, 1);
    expect(damageOf(() => getFrom(reader, text('k')))).toMatchObject({
      code: 'CORRUPT',
      file: samplePath,
      offset: HEADER_SIZE,
      reason: expect.stringMatching(reason),
    });
    expect(orDamage(() => reader.verify())).toBe('damage');
  });

  it('with a compressed block that is none is damage', () => {
    const reader = withFirstBlock(new Uint8Array(20).fill(0xff), 1_000, 1);
    expect(orDamage(() => getFrom(reader, text('k')))).toBe('damage');
  });

  it('with an unknown compression asks for a newer version', () => {
    const reader = withFirstBlock(new Uint8Array(20), 1_000, 9);
    expect(damageOf(() => getFrom(reader, text('k')))).toMatchObject({
      code: 'UNSUPPORTED_FORMAT',
    });
  });

  it('with blocks of noise gives no wrong data and comes to an end', () => {
    for (let seed = 0; seed < 150; seed += 1) {
      const noise = Uint8Array.from({ length: 90 }, (_, index) =>
        index % 3 === seed % 3
          ? crc32(Buffer.of(seed, seed >> 8, index)) & 0xff
          : (seed * index) & 3,
      );
      const reader = withFirstBlock(noise, noise.length + 60 - TRAILER_SIZE, 0);
      orDamage(() => getFrom(reader, text('k')));
      orDamage(() => scanAll(reader.cursor()).length);
      expect(orDamage(() => reader.verify())).toBe('damage');
      reader.close();
    }
  });

  it.each([1, 3])('of another version (%i) asks for one that knows it', (version) => {
    const { fileSystem, meta } = sample();
    for (const [at, crcAt] of [
      [0, 44],
      [meta.size - FOOTER_SIZE, 152],
    ] as const) {
      const bytes = fileSystem.readFile(samplePath);
      const view = new DataView(bytes.buffer, at);
      view.setUint32(4, version, true);
      view.setUint32(crcAt, crc32(bytes.subarray(at, at + crcAt)), true);
      expect(damageOf(() => openSample(withBytes(bytes), meta))).toMatchObject({
        code: 'UNSUPPORTED_FORMAT',
        details: { file: samplePath, version },
      });
    }
  });

  it('does not verify with another digest than its own, though every checksum is right', () => {
    const { fileSystem, meta } = sample();
    const bytes = fileSystem.readFile(samplePath);
    const digest = meta.digest.map((byte) => byte ^ 1);
    bytes.set(encodeFooter({ ...footerOf(bytes), digest }), bytes.length - FOOTER_SIZE);
    const reader = openSample(withBytes(bytes), { ...meta, digest });
    expect(readEverything(reader)).toBe(0);
    expect(damageOf(() => reader.verify())).toMatchObject({
      reason: 'the table does not match its digest',
    });
  });

  it('does not verify if its properties say anything else than it holds', () => {
    const { fileSystem } = sample();
    const bytes = fileSystem.readFile(samplePath);
    const { properties, ...footer } = footerOf(bytes);
    const start = properties.offset;
    // Where the numbers, flags and keys stand; the first byte of each is changed a little.
    for (const at of [8, 16, 24, 32, 40, 48, 56, 101, 112]) {
      const copy = bytes.slice();
      copy[start + at]! ^= 1;
      const payloadEnd = start + properties.size - TRAILER_SIZE;
      const target = { bytes: copy, start, payloadEnd };
      writeTrailer(target, payloadEnd - start, 0, place, start);
      const crc = new DataView(copy.buffer).getUint32(start + properties.size - 4, true);
      const changed = encodeFooter({ ...footer, properties: { ...properties, crc } });
      copy.set(changed, bytes.length - FOOTER_SIZE);
      const lying = withBytes(copy);
      const found = orDamage(() => readTableMeta(lying, samplePath, sampleIdentity));
      expect(
        found === 'damage' || orDamage(() => openSample(lying, found).verify()) === 'damage',
      ).toBe(true);
    }
  });

  it.each([
    ['a level deeper than there are', 64, 7],
    ['itself for an input', 112 + 1, 7],
    ['flags without meaning', 101, 4],
    ['a compression without meaning', 100, 3],
    ['more axes of a filter than it has', 102, 1],
    ['a reserved byte in use', 104, 1],
    ['the last reserved byte in use', 111, 1],
    ['a block size below the smallest', 84, 63],
    ['bits of a filter that none has', 96, 65],
  ])('is refused if its properties say %s', (_what, at, value) => {
    const { fileSystem, meta } = sample();
    const copy = fileSystem.readFile(samplePath);
    const { properties, ...footer } = footerOf(copy);
    const start = properties.offset;
    copy[start + at] = value;
    const payloadEnd = start + properties.size - TRAILER_SIZE;
    writeTrailer({ bytes: copy, start, payloadEnd }, payloadEnd - start, 0, place, start);
    const crc = new DataView(copy.buffer).getUint32(start + properties.size - 4, true);
    const changed = encodeFooter({ ...footer, properties: { ...properties, crc } });
    copy.set(changed, copy.length - FOOTER_SIZE);
    expect(damageOf(() => openSample(withBytes(copy), meta))).toMatchObject({
      code: 'CORRUPT',
      offset: start,
    });
  });

  it('with a footer whose parts do not meet is refused', () => {
    const { fileSystem, meta } = sample();
    const bytes = fileSystem.readFile(samplePath);
    const footer = footerOf(bytes);
    const { filter, index, properties } = footer;
    const wrong: Partial<TableFooter>[] = [
      { filter: { ...filter, offset: filter.offset + 1 } },
      { filter: { ...filter, size: 0 } },
      { index: { ...index, size: index.size + 1 } },
      { properties: { ...properties, size: 0xffff_ffff } },
      { properties: { ...properties, crc: properties.crc ^ 1 } },
      { rangeTombstones: { offset: 2 ** 53, size: 40, crc: 1 } },
      { number: 8 },
      { count: 9 },
      { count: 2 ** 53 },
      { identity: new Uint8Array(16) },
    ];
    for (const part of wrong) {
      const copy = bytes.slice();
      copy.set(encodeFooter({ ...footer, ...part }), bytes.length - FOOTER_SIZE);
      expect(orDamage(() => openSample(withBytes(copy), meta))).toBe('damage');
    }
  });
});
