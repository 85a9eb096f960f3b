import { deepStrictEqual, strictEqual } from 'node:assert';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { viewOf } from '../base/integers.ts';
import { limits } from '../base/limits.ts';
import {
  blankFrameHeader,
  decodeFrameHeader,
  decodeSegmentFooter,
  decodeSegmentHeader,
  decodeTail,
  encodeFrame,
  encodeSegmentFooter,
  encodeSegmentHeader,
  encodeTail,
  FRAME_HEADER_SIZE,
  FRAME_TRAILER_SIZE,
  frameBodyIsIntact,
  frameBodySizeMax,
  type FrameHeader,
  frameSizeOf,
  JOURNAL_FORMAT_VERSION,
  PlaceTag,
  positionOfSegmentName,
  SEGMENT_FOOTER_SIZE,
  SEGMENT_HEADER_SIZE,
  type SegmentFooter,
  type SegmentHeader,
  segmentHeaderCrc,
  segmentName,
  type Tail,
  TAIL_SIZE,
} from './format.ts';
import { isRefusal } from '../base/refusal.ts';

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const bytesOf = (size: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: size, maxLength: size });

const segmentHeaders: fc.Arbitrary<SegmentHeader> = fc.record({
  identity: bytesOf(16),
  salt: bytesOf(16),
  index: uint32,
  firstPosition: fc.maxSafeNat(),
  link: uint32,
});
const footers: fc.Arbitrary<SegmentFooter> = fc.record({
  salt: bytesOf(16),
  firstPosition: fc.maxSafeNat(),
  count: uint32,
  frameCount: uint32,
  framesEnd: uint32,
  lastLink: uint32,
  offsetsCrc: uint32,
  minStamp: fc.maxSafeNat(),
  maxStamp: fc.maxSafeNat(),
  digest: bytesOf(32),
});
const tails: fc.Arbitrary<Tail> = fc
  .record({ identity: bytesOf(16), segment: fc.maxSafeNat(), durable: fc.maxSafeNat() })
  .map((tail) => ({ ...tail, durable: Math.max(tail.segment, tail.durable) }));

it('the persisted constants of the journal have not changed', () => {
  expect({
    JOURNAL_FORMAT_VERSION,
    SEGMENT_HEADER_SIZE,
    SEGMENT_FOOTER_SIZE,
    FRAME_HEADER_SIZE,
    FRAME_TRAILER_SIZE,
    TAIL_SIZE,
    frameBodySizeMax,
    segmentSizeFirst: limits.segmentSizeFirst,
    frameSizeMax: limits.frameSizeMax,
    commitCountMax: limits.commitCountMax,
    name: segmentName(1_234),
    frameSizes: [0, 1, 4, 12, 100].map((size) => frameSizeOf(size)),
  }).toEqual({
    JOURNAL_FORMAT_VERSION: 1,
    SEGMENT_HEADER_SIZE: 128,
    SEGMENT_FOOTER_SIZE: 128,
    FRAME_HEADER_SIZE: 48,
    FRAME_TRAILER_SIZE: 4,
    TAIL_SIZE: 64,
    frameBodySizeMax: 16 * 1024 * 1024 - 60,
    segmentSizeFirst: 1024 * 1024,
    frameSizeMax: 16 * 1024 * 1024,
    commitCountMax: 65_535,
    name: '00000000000000001234.seg',
    frameSizes: [56, 56, 56, 64, 152],
  });
});

describe.each([
  [
    'a segment header',
    segmentHeaders,
    encodeSegmentHeader,
    decodeSegmentHeader,
    124,
    { reserved: range(56, 124), numbers: [48] },
  ],
  [
    'a segment footer',
    footers,
    encodeSegmentFooter,
    decodeSegmentFooter,
    124,
    { reserved: [...range(52, 56), ...range(104, 124)], numbers: [24, 56, 64] },
  ],
  [
    'a tail file',
    tails,
    encodeTail,
    decodeTail,
    60,
    { reserved: range(40, 60), numbers: [24, 32] },
  ],
] as readonly [
  string,
  fc.Arbitrary<object>,
  (value: object) => Uint8Array,
  (bytes: Uint8Array) => object,
  number,
  { readonly reserved: readonly number[]; readonly numbers: readonly number[] },
][])('%s', (_name, values, encode, decode, crcAt, places) => {
  const decodeWith = (change: (bytes: Uint8Array) => void): object => {
    const bytes = encode(fc.sample(values, 1)[0]!);
    change(bytes);
    viewOf(bytes).setUint32(crcAt, crc32(bytes.subarray(0, crcAt)), true);
    return decode(bytes);
  };

  it('is read as it was written', () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(decode(encode(value))).toEqual(value);
      }),
    );
  });

  it('is refused at every shorter size', () => {
    const bytes = encode(fc.sample(values, 1)[0]!);
    for (let size = 0; size < bytes.length; size += 1) {
      expect(isRefusal(decode(bytes.subarray(0, size)))).toBe(true);
    }
  });

  it('is refused with any bit flipped', () => {
    for (const value of fc.sample(values, 3)) {
      const bytes = encode(value);
      for (let bit = 0; bit < bytes.length * 8; bit += 1) {
        bytes[bit >>> 3]! ^= 1 << (bit & 7);
        strictEqual(isRefusal(decode(bytes)), true);
        bytes[bit >>> 3]! ^= 1 << (bit & 7);
      }
    }
  });

  it('of a newer version is refused by its version', () => {
    const bytes = encode(fc.sample(values, 1)[0]!);
    viewOf(bytes).setUint32(4, 2, true);
    viewOf(bytes).setUint32(crcAt, crc32(bytes.subarray(0, crcAt)), true);
    expect(decode(bytes)).toMatchObject({ version: 2 });
  });

  it('is refused with any reserved byte in use, or a number too large, though its checksum is right', () => {
    expect(isRefusal(decodeWith(() => {}))).toBe(false);
    for (const at of places.reserved) {
      const decoded = decodeWith((bytes) => (bytes[at] = 1));
      expect(decoded).toMatchObject({ isIntact: true, at });
    }
    for (const at of places.numbers) {
      const decoded = decodeWith((bytes) => viewOf(bytes).setBigUint64(at, 2n ** 53n, true));
      expect(decoded).toMatchObject({ isIntact: true, at });
    }
  });
});

describe('a tail file', () => {
  it('whose segment begins behind what it calls durable is refused', () => {
    const tail = { identity: new Uint8Array(16), segment: 8, durable: 7 };
    expect(decodeTail(encodeTail(tail))).toMatchObject({ isIntact: true });
  });
});

/** The numbers from `start` up to `end`. */
function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, index) => start + index);
}

describe('the CRC of a segment header', () => {
  it('is the one it ends with', () => {
    fc.assert(
      fc.property(segmentHeaders, (header) => {
        const bytes = encodeSegmentHeader(header);
        expect(segmentHeaderCrc(header)).toBe(crc32(bytes.subarray(0, 124)));
      }),
    );
  });
});

interface FrameSpec {
  readonly body: Uint8Array;
  readonly count: number;
  readonly firstPosition: number;
  readonly durable: number;
  readonly link: number;
  readonly salt: Uint8Array;
  readonly place: number;
  /** Where the frame stands in the buffer. */
  readonly at: number;
}

const frames: fc.Arbitrary<FrameSpec> = fc
  .record({
    body: fc.uint8Array({ maxLength: 100 }),
    count: fc.integer({ min: 1, max: 65_535 }),
    firstPosition: fc.nat(),
    behind: fc.nat(),
    link: uint32,
    salt: bytesOf(16),
    place: uint32,
    at: fc.nat(5),
  })
  .map(({ behind, at, ...spec }) => {
    const durable = Math.max(0, spec.firstPosition - behind);
    return { ...spec, durable, at: at * 8 };
  });

/** The frame in a buffer with other bytes around it. */
function write(spec: FrameSpec): Uint8Array {
  const { body, at, count, firstPosition, durable, link } = spec;
  const size = frameSizeOf(body.length);
  const bytes = new Uint8Array(at + size + 8).fill(0xaa);
  bytes.set(body, at + FRAME_HEADER_SIZE);
  const header = { bodySize: body.length, count, firstPosition, durable, link, crc: 0 };
  encodeFrame(bytes, viewOf(bytes), at, header, tagOf(spec));
  strictEqual(
    bytes.subarray(0, at).every((byte) => byte === 0xaa),
    true,
  );
  strictEqual(
    bytes.subarray(at + size).every((byte) => byte === 0xaa),
    true,
  );
  return bytes;
}

function tagOf({ salt, place }: Pick<FrameSpec, 'salt' | 'place'>): PlaceTag {
  const tag = new PlaceTag(salt);
  tag.compute(place);
  return tag;
}

/** The frame as it is read, or undefined if it is not accepted. */
function read(bytes: Uint8Array, spec: FrameSpec): FrameHeader | undefined {
  const header = blankFrameHeader();
  const view = viewOf(bytes);
  if (!decodeFrameHeader(bytes, view, spec.at, tagOf(spec), header)) {
    return undefined;
  }
  const isThere = spec.at + frameSizeOf(header.bodySize) <= bytes.length;
  return isThere && frameBodyIsIntact(bytes, view, spec.at, header.bodySize) ? header : undefined;
}

describe('a frame', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(frames, (spec) => {
        const { body, count, firstPosition, durable, link, at } = spec;
        const bytes = write(spec);
        const crc = crc32(bytes.subarray(at, at + 44));
        deepStrictEqual(read(bytes, spec), {
          bodySize: body.length,
          count,
          firstPosition,
          durable,
          link,
          crc,
          refusal: undefined,
        });
        const start = at + FRAME_HEADER_SIZE;
        deepStrictEqual(bytes.slice(start, start + body.length), body);
      }),
    );
  });

  it('is not accepted with any bit flipped, or cut short', () => {
    for (const spec of fc.sample(frames, 8)) {
      const bytes = write(spec);
      const end = bytes.length - 8;
      for (let bit = spec.at * 8; bit < end * 8; bit += 1) {
        bytes[bit >>> 3]! ^= 1 << (bit & 7);
        strictEqual(read(bytes, spec), undefined);
        bytes[bit >>> 3]! ^= 1 << (bit & 7);
      }
      for (let size = spec.at; size < end; size += 1) {
        strictEqual(read(bytes.subarray(0, size), spec), undefined);
      }
    }
  });

  it('is not accepted at another offset, or in another segment', () => {
    fc.assert(
      fc.property(frames, uint32, bytesOf(16), (spec, place, salt) => {
        const bytes = write(spec);
        fc.pre(place !== spec.place && Buffer.compare(salt, spec.salt) !== 0);
        expect(read(bytes, { ...spec, place })).toBeUndefined();
        expect(read(bytes, { ...spec, salt })).toBeUndefined();
      }),
    );
  });

  it('that says impossible things is not accepted even with right checksums', () => {
    const [spec] = fc.sample(frames, 1);
    const changes: ((view: DataView, at: number) => void)[] = [
      (view, at) => view.setUint32(at + 4, 2, true),
      (view, at) => view.setUint32(at + 8, frameBodySizeMax + 1, true),
      (view, at) => view.setUint32(at + 12, 0, true),
      (view, at) => view.setBigUint64(at + 16, 2n ** 53n, true),
      (view, at) => view.setBigUint64(at + 24, BigInt(spec!.firstPosition + 1), true),
    ];
    for (const change of changes) {
      const bytes = write(spec!);
      const view = viewOf(bytes);
      change(view, spec!.at);
      view.setUint32(spec!.at + 44, crc32(bytes.subarray(spec!.at, spec!.at + 44)), true);
      expect(read(bytes, spec!)).toBeUndefined();
      // Nobody may take it for what a torn write has left.
      const header = blankFrameHeader();
      decodeFrameHeader(bytes, view, spec!.at, tagOf(spec!), header);
      expect(header.refusal).toMatchObject({ isIntact: true });
    }
  });
});

describe('the name of a segment', () => {
  it('gives its position back, and names sort as positions do', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (one, other) => {
        expect(positionOfSegmentName(segmentName(one))).toBe(one);
        expect(segmentName(one) < segmentName(other)).toBe(one < other);
      }),
    );
  });

  it('is nothing else', () => {
    const names = ['', 'tail', '1.seg', '0000000000000000000x.seg', '00000000000000000000.seg.tmp'];
    for (const name of [...names, '99999999999999999999.seg', ' 0000000000000000000.seg']) {
      expect(positionOfSegmentName(name)).toBeUndefined();
    }
  });
});
