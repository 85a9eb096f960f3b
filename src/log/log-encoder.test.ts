import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { viewOf } from '../base/integers.ts';
import type { FrameBody } from '../journal/encoder.ts';
import { OffsetTable } from '../journal/offset-table.ts';
import {
  encodeRecord,
  noCommitTexts,
  placeRecord,
  recordSizeAt,
  recordSizeOf,
  SALT_SIZE,
} from './format.ts';
import { MemoryLeafStore } from './leaf-store.ts';
import { LogEncoder, type ReplayObserver } from './log-encoder.ts';

const streams = ['a', 'b', 'a', 'a', 'b'];

/** The body of one commit over two streams, as the owner hands it over. */
function draftBody(commit = 0): FrameBody {
  const revisions = [3 * commit, 2 * commit];
  const firstPosition = 10 + commit * streams.length;
  const pieces: Buffer[] = [];
  for (const [index, stream] of streams.entries()) {
    const streamNumber = stream === 'a' ? 0 : 1;
    const data = `{"index":${index}}`;
    const content = {
      stream,
      streamSize: 1,
      type: 'T',
      typeSize: 1,
      suppliedId: '',
      suppliedIdSize: 0,
      correlationId: '',
      correlationIdSize: 0,
      causationId: '',
      causationIdSize: 0,
      tags: [],
      tagsSize: 0,
      occurredAt: undefined,
      contentType: 1,
      codec: 0,
      plainSize: data.length,
      metadataSize: 0,
      payload: [data],
      payloadSize: data.length,
    };
    const place = {
      position: firstPosition + index,
      revision: revisions[streamNumber]!,
      time: 1_000 + firstPosition - 10,
      commitIndex: index,
      commitCount: streams.length,
      idDraw: 1,
      streamNumber,
      previousPosition: -1,
    };
    revisions[streamNumber]! += 1;
    const piece = Buffer.alloc(recordSizeOf(content, noCommitTexts));
    encodeRecord(piece, viewOf(piece), 0, content, noCommitTexts);
    const salt = new Uint8Array(SALT_SIZE).fill(index + 1);
    placeRecord(piece, viewOf(piece), 0, place, salt, 0);
    pieces.push(piece);
  }
  const bytes = Buffer.concat(pieces);
  const { length } = streams;
  const place = { start: 0, size: bytes.length, firstPosition, count: length, fileOffset: 176 };
  return { bytes, view: viewOf(bytes), ...place };
}

function replayOf(body: FrameBody): string | undefined {
  const revisions = new Map<string, number>();
  const encoder = new LogEncoder(new MemoryLeafStore(), (record) => {
    const revision = revisions.get(record.stream) ?? 0;
    revisions.set(record.stream, revision + 1);
    return record.stream === 'a' ? 0 : 1;
  });
  return encoder.replay(body, new OffsetTable());
}

function completeBody(): { body: FrameBody; offsets: OffsetTable; encoder: LogEncoder } {
  const body = draftBody();
  const encoder = new LogEncoder(new MemoryLeafStore(), () => 0);
  const offsets = new OffsetTable();
  encoder.complete(body, offsets);
  return { body, offsets, encoder };
}

describe('the log encoder', () => {
  it('links each record to the leaf before it in its stream, as SHA-256 by itself does', () => {
    const { body, offsets, encoder } = completeBody();
    const leaves = new Map<string, Buffer>();
    const all: Buffer[] = [];
    let at = 0;
    for (const [index, stream] of streams.entries()) {
      const record = body.bytes.subarray(at, at + recordSizeAt(body.view, at));
      const header = record.subarray(8, 8 + record.readUInt16LE(4));
      const previous = leaves.get(stream) ?? Buffer.alloc(32);
      expect(header.subarray(32, 64).equals(previous)).toBe(true);
      const salted = record.subarray(8 + header.length);
      expect(header.subarray(64, 96).equals(sha256(salted))).toBe(true);
      expect(record.readUInt32LE(0)).toBe(crc32(record.subarray(4, 8 + header.length)));
      expect(offsets.at(index)).toBe(176 + at);
      const leaf = sha256(Buffer.concat([Buffer.of(0), header]));
      leaves.set(stream, leaf);
      all.push(leaf);
      at += record.length;
    }
    expect(encoder.sealSegment()).toEqual({
      digest: new Uint8Array(sha256(sha256(Buffer.concat(all)))),
      minStamp: 1_000,
      maxStamp: 1_000,
    });
  });

  it('accepts on replay what it has completed', () => {
    expect(replayOf(completeBody().body)).toBeUndefined();
  });

  it('refuses on replay every flipped bit of a record but those of its payload', () => {
    const { body } = completeBody();
    const payloadBits = new Set<number>();
    for (let at = 0; at < body.size; at += recordSizeAt(body.view, at)) {
      const start = at + 8 + body.bytes.readUInt16LE(at + 4);
      for (let bit = start * 8; bit < (at + recordSizeAt(body.view, at)) * 8; bit += 1) {
        payloadBits.add(bit);
      }
    }
    for (let bit = 0; bit < body.size * 8; bit += 1) {
      body.bytes[bit >>> 3]! ^= 1 << (bit & 7);
      const problem = replayOf(body);
      if ((problem === undefined) !== payloadBits.has(bit)) {
        expect(problem, `bit ${bit}`).toBe(payloadBits.has(bit));
      }
      body.bytes[bit >>> 3]! ^= 1 << (bit & 7);
    }
  });
});

describe('a log encoder that moves', () => {
  it('goes on from a state that was cloned or transferred as if it had not moved', () => {
    const expected = run(1_000, (encoder) => encoder);
    const cloned = run(1, (encoder) => LogEncoder.fromState(structuredClone(encoder.takeState())));
    expect(cloned).toEqual(expected);
    const transferred = run(7, (encoder) => {
      const state = encoder.takeState();
      const { groups, rest } = state.segmentLeaves;
      const transfer = [state.leaves.buffer, groups.buffer, rest.buffer];
      return LogEncoder.fromState(structuredClone(state, { transfer }));
    });
    expect(transferred).toEqual(expected);
  });

  it('goes on from what another one has replayed', () => {
    const stayed = new LogEncoder(new MemoryLeafStore());
    const first = draftBody(0);
    stayed.complete(first, new OffsetTable());
    const replayed = new LogEncoder(new MemoryLeafStore(), ({ stream }) =>
      stream === 'a' ? 0 : 1,
    );
    expect(replayed.replay(first, new OffsetTable())).toBeUndefined();
    const moved = LogEncoder.fromState(structuredClone(replayed.takeState()));
    const [one, other] = [draftBody(1), draftBody(1)];
    stayed.complete(one, new OffsetTable());
    moved.complete(other, new OffsetTable());
    expect(other.bytes.equals(one.bytes)).toBe(true);
    expect(moved.sealSegment()).toEqual(stayed.sealSegment());
  });

  it('replays after a move what follows, and nothing else', () => {
    const [first, second] = [draftBody(0), draftBody(1)];
    const writer = new LogEncoder(new MemoryLeafStore());
    writer.complete(first, new OffsetTable());
    writer.complete(second, new OffsetTable());
    const reader = new LogEncoder(new MemoryLeafStore(), numberOf);
    expect(reader.replay(first, new OffsetTable())).toBeUndefined();
    const moved = LogEncoder.fromState(reader.takeState(), numberOf);
    expect(moved.replay(second, new OffsetTable())).toBeUndefined();
    expect(moved.replay(first, new OffsetTable())).toContain('is not linked');
  });

  it('is not used after it has moved', () => {
    const encoder = new LogEncoder(new MemoryLeafStore(), () => 0);
    encoder.takeState();
    const offsets = new OffsetTable();
    expect(() => encoder.complete(draftBody(), offsets)).toThrow('Invariant broken');
    expect(() => encoder.replay(draftBody(), offsets)).toThrow('Invariant broken');
    expect(() => encoder.sealSegment()).toThrow('Invariant broken');
    expect(() => encoder.takeState()).toThrow('Invariant broken');
  });
});

describe('a leaf store', () => {
  it('holds the last leaf of each stream, and zeros for others, also after a move', () => {
    const ones = new Int32Array(10).fill(0x01010101);
    const store = new MemoryLeafStore();
    store.set(5_000, ones, 2);
    store.set(3, ones, 2);
    const moved = new MemoryLeafStore(structuredClone(store.takeState()));
    moved.set(3, ones.fill(0x04030201), 2);
    const repeated = [1, 2, 3, 4, 1, 2, 3, 4];
    expect(leafOf(moved, 5_000)).toEqual(framed(Array.from({ length: 32 }, () => 1)));
    expect(leafOf(moved, 3)).toEqual(framed([repeated, repeated, repeated, repeated].flat()));
    for (const stream of [0, 4_999, 100_000]) {
      expect(leafOf(moved, stream)).toEqual(framed(Array.from({ length: 32 }, () => 0)));
    }
  });

  it('is not used after it has moved', () => {
    const store = new MemoryLeafStore();
    store.takeState();
    const view = new DataView(new ArrayBuffer(32));
    expect(() => store.copyTo(0, view, 0)).toThrow('Invariant broken');
    expect(() => store.isAt(0, view, 0)).toThrow('Invariant broken');
    expect(() => store.set(0, new Int32Array(8), 0)).toThrow('Invariant broken');
    expect(() => store.takeState()).toThrow('Invariant broken');
  });
});

/** The bytes 0 to 33 after the leaf was copied to the bytes 1 to 32. */
function leafOf(store: MemoryLeafStore, stream: number): number[] {
  const target = new Uint8Array(34).fill(7);
  store.copyTo(stream, viewOf(target), 1);
  expect(store.isAt(stream, viewOf(target), 1)).toBe(true);
  for (let at = 1; at < 33; at += 1) {
    target[at]! ^= 128;
    expect(store.isAt(stream, viewOf(target), 1)).toBe(false);
    target[at]! ^= 128;
  }
  return [...target];
}

/** What `leafOf` gives for a leaf. */
function framed(leaf: number[]): number[] {
  return [7, ...leaf, 7];
}

const numberOf: ReplayObserver = ({ stream }) => (stream === 'a' ? 0 : 1);

/** Bytes and summaries of 120 commits in segments of 50; before every n-th commit the encoder is replaced. */
function run(moveEvery: number, move: (encoder: LogEncoder) => LogEncoder): unknown[] {
  let encoder = new LogEncoder(new MemoryLeafStore());
  const results: unknown[] = [];
  for (let commit = 0; commit < 120; commit += 1) {
    if (commit % moveEvery === 0) {
      encoder = move(encoder);
    }
    const body = draftBody(commit);
    encoder.complete(body, new OffsetTable());
    results.push(body.bytes.toString('hex'));
    if (commit % 50 === 49) {
      results.push(encoder.sealSegment());
    }
  }
  return [...results, encoder.sealSegment()];
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
