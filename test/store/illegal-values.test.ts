/**
 * Every field of every structure set to values that it never has, with all checksums, digests, leaves and links made right, as
 * by a faulty or a hostile writer. What `verify` calls whole can be read, and what can't be read it finds.
 */
import { createHash } from 'node:crypto';
import { crc32, deflateRawSync } from 'node:zlib';
import type { CorruptionError } from 'varve';
import type { SimulatedFileSystem } from 'varve/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { encodeTail } from '../../src/journal/format.ts';
import { checkAgreement } from './agreement.ts';
import { openDisk, SEGMENT_0, smallStore, type Victim } from './damage.ts';
import {
  endOf,
  frameOffsetsOf,
  Has,
  HeaderAt,
  headerSizeOf,
  optionalAt,
  putTogether,
  RecordAt,
  rehash,
  type Surgery,
  tailOf,
  takeApart,
  TextOf,
  withPayload,
  withTags,
  withText,
} from './log-surgery.ts';

const TAIL = '/store/log/tail';

let small: Victim;
beforeAll(async () => {
  small = await smallStore();
});

/** Frame and record in the small store. */
const Place = {
  json: [0, 0],
  suppliedId: [1, 0],
  bytesAndMetadata: [2, 0],
  noData: [2, 1],
  insideCommit: [3, 1],
  lastOfCommit: [3, 3],
  compressed: [4, 0],
  jsonAndMetadata: [5, 0],
  /** The only event of its stream. */
  alone: [4, 0],
  last: [7, 0],
} as const;
type Place = keyof typeof Place;

/** The small store with one record changed, and everything that depends on it computed anew. */
function diskWith(place: Place, change: (record: Buffer) => Buffer | void): SimulatedFileSystem {
  const disk = small.disk.clone();
  const bytes = disk.readFile(SEGMENT_0);
  const surgery = takeApart(bytes);
  const [frame, index] = Place[place];
  const records = surgery.frames[frame]!;
  records[index] = change(records[index]!) ?? records[index]!;
  rehash(surgery);
  disk.writeFile(SEGMENT_0, Buffer.concat([bytes.subarray(0, 128), putTogether(surgery)]));
  disk.writeFile(TAIL, tailOf(surgery));
  return disk;
}

type Edit = (record: Buffer) => Buffer | void;
type Cases = Readonly<Record<string, readonly [Place, Edit]>>;

const set8 =
  (at: number, value: number): Edit =>
  (record) =>
    void record.writeUInt8(value, at);
const set16 =
  (at: number, value: number): Edit =>
  (record) =>
    void record.writeUInt16LE(value, at);
const set32 =
  (at: number, value: number): Edit =>
  (record) =>
    void record.writeUInt32LE(value, at);
const set24 =
  (at: number, value: number): Edit =>
  (record) =>
    void record.writeUIntLE(value, at, 3);
const set48 =
  (at: number, value: number): Edit =>
  (record) =>
    void record.writeUIntLE(value, at, 6);
const occurredAt =
  (value: bigint): Edit =>
  (record) =>
    void record.writeBigUInt64LE(BigInt.asUintN(64, value), optionalAt(record, 'occurredAt'));
const size32 =
  (field: 'plainSize' | 'metadataSize', value: number): Edit =>
  (record) =>
    void record.writeUInt32LE(value, optionalAt(record, field));
const flag =
  (value: number): Edit =>
  (record) =>
    void record.writeUInt16LE(record.readUInt16LE(HeaderAt.flags) | value, HeaderAt.flags);
const contentType =
  (value: number): Edit =>
  (record) =>
    void record.writeUInt16LE((record.readUInt16LE(HeaderAt.flags) & ~3) | value, HeaderAt.flags);
const text =
  (index: number, value: string | Buffer): Edit =>
  (record) =>
    withText(record, index, value);
const tags =
  (...values: (string | Buffer)[]): Edit =>
  (record) =>
    withTags(record, values);
const payload =
  (data: string | Buffer, metadata: string | Buffer = ''): Edit =>
  (record) => {
    const bytes = [Buffer.from(data as string), Buffer.from(metadata as string)];
    const plain = { plainSize: bytes[0]!.length + bytes[1]!.length, codec: 0 };
    return withPayload(record, Buffer.concat(bytes), { ...plain, metadataSize: bytes[1]!.length });
  };
/** Stored bytes that a codec should make `plainSize` bytes of. */
const stored =
  (codec: number, bytes: Buffer, plainSize: number): Edit =>
  (record) =>
    withPayload(record, bytes, { codec, plainSize, metadataSize: 0 });

const uuid = '0f8fad5b-d9cb-469f-a165-70867728950e';
const json = Buffer.from(JSON.stringify('compress me '.repeat(40)));
const latin1 = Buffer.from('"Zo\u00eb"', 'latin1');
const halves = Buffer.concat([Buffer.from('"'), Buffer.alloc(200, 0xc3), Buffer.from('"')]);

const refusedAtOpen: Cases = {
  'a record flag without meaning': ['json', set8(6, 2)],
  'another leaf prefix': ['json', set8(7, 1)],
  'a header without room for its fields': ['json', set16(4, 107)],
  'a header larger than its record': ['json', set16(4, 65_535)],
  'another record version': ['json', set8(HeaderAt.version, 3)],
  'the version before': ['json', set8(HeaderAt.version, 1)],
  'a header flag without meaning': ['json', flag(64)],
  'the last header flag without meaning': ['json', flag(0x8000)],
  'a key id': ['json', flag(Has.keyId)],
  'a schema version': ['json', flag(Has.schemaVersion)],
  'a UUID that is none': ['suppliedId', flag(256)],
  'a UUID that is absent': ['json', flag(256)],
  'a UUID that is stored as text': ['suppliedId', text(TextOf.id, uuid)],
  'a key that is a UUID and stored as text': ['json', text(TextOf.key, uuid)],
  'a time of occurrence without room for it': ['json', flag(Has.occurredAt)],
  'a time of occurrence before all that are safe': ['noData', occurredAt(-(2n ** 53n))],
  'the last time of occurrence there is': ['noData', occurredAt(2n ** 63n - 1n)],
  'a content type without meaning': ['json', contentType(3)],
  'no content and data': ['json', contentType(0)],
  'JSON without data': ['noData', contentType(1)],
  'a codec that is reserved': ['compressed', set8(HeaderAt.codec, 3)],
  'the last codec that is reserved': ['compressed', set8(HeaderAt.codec, 63)],
  'a codec that saves nothing': ['json', stored(1, Buffer.from('{}'), 2)],
  'a codec without a plain size': ['json', set8(HeaderAt.codec, 1)],
  'no codec and a plain size': ['compressed', set8(HeaderAt.codec, 0)],
  'another place in its commit': ['insideCommit', set16(RecordAt.commitIndex, 2)],
  'a place behind its commit': ['insideCommit', set16(RecordAt.commitIndex, 4)],
  'a commit of none': ['json', set16(RecordAt.commitCount, 0)],
  'another position': ['insideCommit', set48(RecordAt.position, 6)],
  'a position that is too large': ['json', set48(RecordAt.position, 2 ** 48 - 1)],
  'another revision': ['bytesAndMetadata', set48(RecordAt.revision, 2)],
  'a revision that is too large': ['bytesAndMetadata', set48(RecordAt.revision, 2 ** 48 - 1)],
  'another time than the rest of its commit': [
    'lastOfCommit',
    (record) => set48(RecordAt.time, record.readUIntLE(RecordAt.time, 6) + 1)(record),
  ],
  'more stored bytes than there are': ['json', set32(HeaderAt.payloadSize, 2 ** 32 - 1)],
  'fewer stored bytes than there are': ['json', set32(HeaderAt.payloadSize, 3)],
  'more plain bytes than there may be': ['compressed', size32('plainSize', 64 * 1024 * 1024 + 1)],
  'fewer plain bytes than compressed ones': ['compressed', size32('plainSize', 3)],
  'more metadata than there is': ['jsonAndMetadata', size32('metadataSize', 2 ** 32 - 1)],
  'a size for metadata that are absent': ['jsonAndMetadata', size32('metadataSize', 0)],
  'metadata without a size': ['json', flag(Has.metadata)],
  'metadata that leave no JSON': [
    'jsonAndMetadata',
    (record) => size32('metadataSize', record.readUInt32LE(HeaderAt.payloadSize))(record),
  ],
  'a draw of more than 21 bits': ['json', set24(HeaderAt.idDraw, 2 ** 21)],
  'a draw and a supplied id': ['suppliedId', set24(HeaderAt.idDraw, 1)],
  'a stream without a name': ['alone', text(TextOf.stream, '')],
  'a stream whose name is too long': ['alone', text(TextOf.stream, 'x'.repeat(2_000))],
  'a stream that is no path': ['alone', text(TextOf.stream, 'orders//1')],
  'a stream that leads upwards': ['alone', text(TextOf.stream, 'orders/../1')],
  'a stream whose name is not UTF-8': ['alone', text(TextOf.stream, Buffer.of(0x61, 0xff))],
  'no type': ['json', text(TextOf.type, '')],
  'a type that is too long': ['json', text(TextOf.type, 'x'.repeat(257))],
  'a type that is not UTF-8': ['json', text(TextOf.type, latin1)],
  'a type with a control character': ['json', text(TextOf.type, 'a\nb')],
  'an id that is too long': ['suppliedId', text(TextOf.id, 'x'.repeat(129))],
  'an id that is not UTF-8': ['suppliedId', text(TextOf.id, latin1)],
  'a correlation id that is too long': ['json', text(TextOf.correlation, 'x'.repeat(129))],
  'a causation id that is too long': ['json', text(TextOf.causation, 'x'.repeat(129))],
  'a subject': ['json', text(TextOf.subject, 'x')],
  'a scope without a key': ['suppliedId', text(TextOf.scope, 'x')],
  'a scope that is too long': ['json', text(TextOf.scope, 'x'.repeat(129))],
  'a scope that is not UTF-8': ['json', text(TextOf.scope, latin1)],
  'a scope with a control character': ['json', text(TextOf.scope, 'a\u0000')],
  'a scope that is a UUID and stored as text': ['json', text(TextOf.scope, uuid)],
  'a scope inside its commit': ['insideCommit', text(TextOf.scope, 'x')],
  'a key that is too long': ['json', text(TextOf.key, 'x'.repeat(1_025))],
  'a key with a control character': ['json', text(TextOf.key, 'a\u0085b')],
  'a key inside its commit': ['insideCommit', text(TextOf.key, 'x')],
  'too many tags': ['json', tags(...Array.from({ length: 65 }, (_, n) => `tag ${n}`))],
  'a tag twice': ['json', tags('a', 'b', 'a')],
  'an empty tag': ['json', tags('')],
  'a tag that is too long': ['json', tags('x'.repeat(257))],
  'a tag that is not UTF-8': ['json', tags(Buffer.of(0xe9))],
  'fewer tags than it says': ['json', set8(RecordAt.tagCount, 9)],
};

/** Opening does not look into payloads: only a read, and `verify`, can tell. */
const refusedByReads: Cases = {
  'data that are not JSON': ['json', payload('{"total":42')],
  'data that are JSON and more': ['json', payload('{} {}')],
  'data that begin with a byte order mark': ['json', payload('\ufeff{}')],
  'data that are not UTF-8': ['json', payload(latin1)],
  'metadata that are not JSON': ['bytesAndMetadata', payload('xy', '{')],
  'metadata that are not UTF-8': ['bytesAndMetadata', payload('xy', latin1)],
  'metadata that begin inside the data': ['jsonAndMetadata', payload('{"a":1', '}')],
  'data that are erased and still there': ['json', set8(6, 1)],
  'compressed bytes that are none': ['compressed', stored(1, Buffer.from('no deflate'), 20)],
  'compressed bytes that are cut': ['compressed', stored(1, deflateRawSync(json).subarray(1), 482)],
  'bytes behind the compressed ones': [
    'compressed',
    stored(1, Buffer.concat([deflateRawSync(json), Buffer.of(0)]), json.length),
  ],
  'fewer compressed bytes than they say': [
    'compressed',
    stored(1, deflateRawSync(json), json.length + 1),
  ],
  'more compressed bytes than they say': [
    'compressed',
    stored(1, deflateRawSync(json), json.length - 1),
  ],
  'compressed bytes that are not JSON': [
    'compressed',
    stored(1, deflateRawSync(Buffer.alloc(400, '{')), 400),
  ],
  'compressed bytes that are not UTF-8': [
    'compressed',
    stored(1, deflateRawSync(halves), halves.length),
  ],
};

const readable: Cases = {
  'the latest time': ['last', set48(RecordAt.time, 2 ** 48 - 1)],
  'no change': ['json', () => {}],
  'another type': ['json', text(TextOf.type, 'Zoë 漢 🚀')],
  'a type with U+FFFD in it': ['json', text(TextOf.type, '\ufffd')],
  'data with U+FFFD in them': ['json', payload('"\ufffd"')],
  'white space around the data': ['json', payload(' {} ', ' [1]\n')],
  'no data but metadata': ['noData', payload('', '{}')],
  'the latest time of occurrence': ['noData', occurredAt(2n ** 53n - 1n)],
  'the earliest time of occurrence': ['noData', occurredAt(-(2n ** 53n) + 1n)],
  'the greatest draw': ['json', set24(HeaderAt.idDraw, 2 ** 21 - 1)],
  'an id that is nearly a UUID': ['suppliedId', text(TextOf.id, uuid.toUpperCase())],
  'the longest texts': ['alone', text(TextOf.stream, 'x'.repeat(1_024))],
};

describe('a record that no writer of ours makes', () => {
  it.each(Object.keys(refusedAtOpen))('is refused by open and by verify: %s', async (name) => {
    const disk = diskWith(...refusedAtOpen[name]!);
    const { refused, opens, report } = await checkAgreement(disk, name);
    expect(opens).toBe(false);
    expect(refused).toMatchObject({ code: 'CORRUPT', file: SEGMENT_0 });
    expect((refused as CorruptionError).offset).toBeTypeOf('number');
    expect((refused as CorruptionError).position).toBeTypeOf('number');
    const damage = report!.findings.find(({ severity }) => severity === 'damage');
    expect(damage!.position).toBeTypeOf('number');
  });

  it.each(Object.keys(refusedByReads))(
    'is refused by every read and by verify: %s',
    async (name) => {
      const disk = diskWith(...refusedByReads[name]!);
      const { refused, opens, report } = await checkAgreement(disk, name);
      expect(opens).toBe(true);
      expect(refused).toMatchObject({ code: 'CORRUPT', file: SEGMENT_0 });
      expect(report!.payloads).toBe('parsed');
      const { offset, position } = refused as CorruptionError;
      expect(report!.findings).toMatchObject([
        { severity: 'damage', file: SEGMENT_0, offset, position },
      ]);
    },
  );

  it.each(Object.keys(readable))('is read by all where it may be so: %s', async (name) => {
    const { refused, report } = await checkAgreement(diskWith(...readable[name]!), name);
    expect(refused).toBeUndefined();
    expect(report).toMatchObject({ ok: true, payloads: 'parsed', unparsed: 0, findingCount: 0 });
  });

  it('with the codec of another process is whole, and verify says that it could not look into it', async () => {
    const disk = diskWith('compressed', set8(HeaderAt.codec, 200));
    const { audit } = await import('varve');
    const components = { fileSystem: disk };
    expect(await audit('/store', { payloads: true }, components)).toMatchObject({
      ok: true,
      unparsed: 1,
      findings: [{ severity: 'notice', file: SEGMENT_0, position: 8 }],
    });
    const reversed = { id: 200, name: 'own', compress: (bytes: Uint8Array) => bytes };
    const own = { ...reversed, decompress: (_: Uint8Array, size: number) => new Uint8Array(size) };
    expect(
      await audit('/store', { payloads: true }, { ...components, codecs: [own] }),
    ).toMatchObject({
      ok: false,
      unparsed: 0,
      findings: [{ severity: 'damage', position: 8 }],
    });
    const store = await openDisk(disk);
    await expect(store.get(8)).rejects.toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
    await store.close();
  });

  it('and says no JSON makes a retry of its commit fail as damage', async () => {
    const store = await openDisk(diskWith('json', payload('{"total":42')));
    const event = { type: 'Placed', data: { total: 42 }, tags: ['customer:7'] };
    await expect(
      store.append('orders/1', [event], { idempotencyKey: 'request-1' }),
    ).rejects.toMatchObject({ code: 'CORRUPT', file: SEGMENT_0, position: 0 });
    await store.close();
  });
});

describe('verify without looking into payloads', () => {
  it('says so, and finds text that is not UTF-8 where it is stored plainly', async () => {
    const { audit } = await import('varve');
    const plain = await audit('/store', {}, { fileSystem: diskWith('json', payload(latin1)) });
    expect(plain).toMatchObject({ ok: false, payloads: 'hashed', findings: [{ position: 0 }] });
    const whole = await audit('/store', {}, { fileSystem: diskWith('json', payload('{')) });
    expect(whole).toMatchObject({ ok: true, payloads: 'hashed', findingCount: 0 });
  });
});

/** A frame header with this field changed, its checksum right, and the links behind it, too. */
const frameHeaders: Readonly<
  Record<string, readonly [at: number, size: 4 | 8, value: bigint, code: string]>
> = {
  version: [4, 4, 2n, 'UNSUPPORTED_FORMAT'],
  'body size': [8, 4, 2n ** 24n, 'CORRUPT'],
  'count of none': [12, 4, 0n, 'CORRUPT'],
  'first position that is too large': [16, 8, 2n ** 53n, 'CORRUPT'],
  'durable position above its own': [24, 8, 2n ** 52n, 'CORRUPT'],
};

describe('a frame header that no writer of ours makes', () => {
  it.each(Object.keys(frameHeaders))(
    'is never taken for a torn write: another %s',
    async (name) => {
      const [at, size, value, code] = frameHeaders[name]!;
      for (const which of [0, 3, -1]) {
        for (const knowsDurable of [true, false]) {
          const disk = small.disk.clone();
          const bytes = Buffer.from(disk.readFile(SEGMENT_0));
          const start = frameOffsetsOf(bytes).at(which)!;
          if (size === 4) {
            bytes.writeUInt32LE(Number(value), start + at);
          } else {
            bytes.writeBigUInt64LE(value, start + at);
          }
          bytes.writeUInt32LE(crc32(bytes.subarray(start, start + 44)), start + 44);
          disk.writeFile(SEGMENT_0, bytes);
          if (!knowsDurable) {
            forgetDurable(disk, bytes);
          }
          const what = `${name} in frame ${which}`;
          const { refused, opens } = await checkAgreement(disk, what);
          expect(opens, what).toBe(false);
          expect(refused, what).toMatchObject({ code });
          if (code === 'CORRUPT') {
            expect(refused, what).toMatchObject({ file: SEGMENT_0, offset: start });
          }
        }
      }
    },
  );

  it('behind a torn write is still no part of it', async () => {
    const disk = small.disk.clone();
    const bytes = Buffer.from(disk.readFile(SEGMENT_0));
    const [torn, illegal] = frameOffsetsOf(bytes).slice(-2);
    bytes[torn! + 60]! ^= 1;
    bytes.writeUInt32LE(0, illegal! + 12);
    bytes.writeUInt32LE(crc32(bytes.subarray(illegal, illegal! + 44)), illegal! + 44);
    disk.writeFile(SEGMENT_0, bytes);
    forgetDurable(disk, bytes);
    const { refused } = await checkAgreement(disk, 'a torn frame and an illegal one');
    expect(refused).toMatchObject({ code: 'CORRUPT', offset: illegal });
  });

  it('with a record that is refused is no torn write, whatever is known durable', async () => {
    const disk = small.disk.clone();
    const bytes = disk.readFile(SEGMENT_0);
    const surgery = takeApart(bytes);
    flag(Has.keyId)(surgery.frames.at(-1)![0]!);
    surgery.durables = surgery.durables.map(() => 0);
    rehash(surgery);
    disk.writeFile(SEGMENT_0, Buffer.concat([bytes.subarray(0, 128), putTogether(surgery)]));
    disk.writeFile(TAIL, encodeTail({ identity: surgery.header.identity, segment: 0, durable: 0 }));
    const { refused } = await checkAgreement(disk, 'an illegal record at the end');
    expect(refused).toMatchObject({
      code: 'CORRUPT',
      file: SEGMENT_0,
      position: endOf(surgery) - 1,
    });
  });
});

/** As after a crash in which nobody noted what was durable. */
function forgetDurable(disk: SimulatedFileSystem, bytes: Buffer): void {
  for (const start of frameOffsetsOf(bytes)) {
    if (bytes.readBigUInt64LE(start + 24) <= bytes.readBigUInt64LE(start + 16)) {
      bytes.writeBigUInt64LE(0n, start + 24);
      bytes.writeUInt32LE(crc32(bytes.subarray(start, start + 44)), start + 44);
    }
  }
  relink(bytes);
  disk.writeFile(SEGMENT_0, bytes);
  const { identity } = takeApart(bytes).header;
  disk.writeFile(TAIL, encodeTail({ identity, segment: 0, durable: 0 }));
}

function relink(bytes: Buffer): void {
  let link = bytes.readUInt32LE(124);
  for (const start of frameOffsetsOf(bytes)) {
    bytes.writeUInt32LE(link, start + 32);
    link = crc32(bytes.subarray(start, start + 44));
    bytes.writeUInt32LE(link, start + 44);
  }
}

/** The small store with one bit of a payload flipped. */
function tampered(): SimulatedFileSystem {
  const disk = small.disk.clone();
  const bytes = disk.readFile(SEGMENT_0);
  const surgery: Surgery = takeApart(bytes);
  const record = surgery.frames[0]![0]!;
  record[record.length - 2]! ^= 1;
  disk.writeFile(SEGMENT_0, Buffer.concat([bytes.subarray(0, 128), putTogether(surgery)]));
  return disk;
}

describe('a payload that was changed with every checksum made right', () => {
  it('is returned by no read', async () => {
    const { refused } = await checkAgreement(tampered(), 'a changed payload');
    expect(refused).toMatchObject({ code: 'CORRUPT', file: SEGMENT_0, offset: 176, position: 0 });
  });

  it('passes where the caller wants no digests checked, and only there', async () => {
    const store = await openDisk(tampered());
    for (const direction of ['forwards', 'backwards'] as const) {
      for (const query of [{}, { stream: 'orders/1' }]) {
        const positions: number[] = [];
        for await (const { position } of store.read(query, { direction, checkDigests: false })) {
          positions.push(position);
        }
        expect(positions).toContain(0);
      }
    }
    await expect(store.read().next()).rejects.toMatchObject({ code: 'CORRUPT' });
    expect(() => store.read({}, { checkDigests: 'no' as never })).toThrow('true or false');
    expect(() => store.read({}, { checkDigest: false } as never)).toThrow('checkDigests');
    await store.close();
  });

  it('is not met by a read that begins behind it', async () => {
    const store = await openDisk(tampered());
    for await (const { position } of store.read({}, { after: 0 })) {
      expect(position).toBeGreaterThan(0);
    }
    await store.close();
  });

  it('has another digest than its record says', () => {
    const [record] = takeApart(tampered().readFile(SEGMENT_0)).frames[0]!;
    const salted = record!.subarray(8 + headerSizeOf(record!));
    const digest = createHash('sha256').update(salted).digest();
    expect(digest.equals(record!.subarray(RecordAt.digest, RecordAt.digest + 32))).toBe(false);
  });
});
