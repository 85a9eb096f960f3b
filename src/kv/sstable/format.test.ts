import { deepStrictEqual, strictEqual } from 'node:assert';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import {
  makeSample,
  openSample,
  type SampleEntry,
  sampleIdentity,
  samplePath,
  scanAll,
  text,
} from './table-sample.ts';
import { RESTART_INTERVAL } from './block-builder.ts';
import {
  BLOCK_SIZE_MAX,
  BLOCK_SIZE_MIN,
  BLOCK_TAIL_SIZE,
  BOUND_SIZE_MAX,
  CompressionTag,
  decodeFooter,
  decodeHeader,
  encodeFooter,
  encodeHeader,
  FOOTER_SIZE,
  HEADER_SIZE,
  KEY_SIZE_MAX,
  PAYLOAD_SIZE_MAX,
  RESTART_SIZE,
  TABLE_FORMAT_VERSION,
  TablePlace,
  TRAILER_SIZE,
  VALUE_SIZE_MAX,
} from './format.ts';
import { readVarint, varintSize, writeVarint } from './varint.ts';

it('the persisted constants of tables have not changed', () => {
  expect({
    TABLE_FORMAT_VERSION,
    HEADER_SIZE,
    FOOTER_SIZE,
    TRAILER_SIZE,
    BLOCK_TAIL_SIZE,
    RESTART_SIZE,
    RESTART_INTERVAL,
    CompressionTag,
    KEY_SIZE_MAX,
    BOUND_SIZE_MAX,
    VALUE_SIZE_MAX,
    BLOCK_SIZE_MIN,
    BLOCK_SIZE_MAX,
    PAYLOAD_SIZE_MAX,
  }).toEqual({
    TABLE_FORMAT_VERSION: 2,
    HEADER_SIZE: 48,
    FOOTER_SIZE: 160,
    TRAILER_SIZE: 9,
    BLOCK_TAIL_SIZE: 20,
    RESTART_SIZE: 8,
    RESTART_INTERVAL: 16,
    CompressionTag: { none: 0, deflate: 1, zstd: 2 },
    KEY_SIZE_MAX: 65_535,
    BOUND_SIZE_MAX: 65_536,
    VALUE_SIZE_MAX: 16_777_216,
    BLOCK_SIZE_MIN: 64,
    BLOCK_SIZE_MAX: 4_194_304,
    PAYLOAD_SIZE_MAX: 16_842_815,
  });
});

it('the bytes of a table have not changed', () => {
  const fileSystem = new SimulatedFileSystem();
  const entries: SampleEntry[] = Array.from({ length: 60 }, (_, index) => ({
    key: text(`key/${String(Math.floor(index / 2)).padStart(3, '0')}`),
    sequence: 2 ** 40 - index * 1_000,
    value: index % 5 === 0 ? undefined : text('v'.repeat(index % 11)),
  }));
  const meta = makeSample(fileSystem, samplePath, entries, {
    settings: { blockSize: 256 },
    level: 2,
    inputs: [5, 6],
    outputIndex: 1,
    isLastOutput: false,
    rangeTombstones: [{ start: text('key/100'), end: text('key/200'), sequence: 12 }],
  });
  const bytes = fileSystem.readFile(samplePath);
  expect(scanAll(openSample(fileSystem, meta).cursor())).toEqual(entries);
  expect([bytes.length, createHash('sha256').update(bytes).digest('hex')]).toMatchInlineSnapshot(`
    [
      1300,
      "370866e27275e2ff587f5901bd1983450d1e95144431737b80b3cb7cfe522ef8",
    ]
  `);
  // The first block, to see what has changed.
  expect(
    Buffer.from(bytes.subarray(HEADER_SIZE, HEADER_SIZE + 64)).toString('hex'),
  ).toMatchInlineSnapshot(
    `"76767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676"`,
  );
});

describe('a header', () => {
  it('is read as it was written, and refused with any bit flipped', () => {
    const bytes = encodeHeader(new TablePlace(sampleIdentity, 2 ** 52));
    deepStrictEqual(decodeHeader(bytes), { identity: sampleIdentity, number: 2 ** 52 });
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      bytes[bit >>> 3]! ^= 1 << (bit & 7);
      expect(decodeHeader(bytes)).toHaveProperty('reason');
      bytes[bit >>> 3]! ^= 1 << (bit & 7);
    }
    expect(decodeHeader(bytes.subarray(0, 47))).toHaveProperty('reason');
  });
});

describe('a footer', () => {
  it('is read as it was written, and refused with any bit flipped', () => {
    const footer = {
      identity: sampleIdentity,
      number: 3,
      count: 2 ** 45,
      rangeTombstones: { offset: 2 ** 45, size: 0, crc: 0 },
      filter: { offset: 2 ** 45, size: 81, crc: 77 },
      index: { offset: 2 ** 45 + 81, size: 2 ** 32 - 1, crc: 2 ** 32 - 1 },
      properties: { offset: 2 ** 45 + 80 + 2 ** 32, size: 150, crc: 5 },
      digest: new Uint8Array(32).fill(9),
    };
    const bytes = encodeFooter(footer);
    const offset = footer.properties.offset + 150;
    deepStrictEqual(decodeFooter(bytes, offset), footer);
    expect(decodeFooter(bytes, offset + 1)).toHaveProperty('reason');
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      bytes[bit >>> 3]! ^= 1 << (bit & 7);
      expect(decodeFooter(bytes, offset)).toHaveProperty('reason');
      bytes[bit >>> 3]! ^= 1 << (bit & 7);
    }
    expect(decodeFooter(bytes.subarray(1), offset)).toHaveProperty('reason');
  });
});

describe('a varint', () => {
  it('is read as it was written, in as many bytes as it says', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.integer({ min: 0, max: 2 ** 32 - 1 }),
          fc.constantFrom(127, 128, 16_383, 16_384, 2 ** 21 - 1, 2 ** 21, 2 ** 28, 2 ** 31),
        ),
        (value) => {
          const bytes = new Uint8Array(8).fill(0xff);
          strictEqual(writeVarint(bytes, 1, value), 1 + varintSize(value));
          strictEqual(readVarint(bytes, 1), value);
        },
      ),
    );
  });
});
