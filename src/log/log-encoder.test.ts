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
  PREVIOUS_LEAF_AT,
  recordSizeAt,
  recordSizeOf,
  SALT_SIZE,
} from './format.ts';
import { LeafRing } from './leaf-ring.ts';
import { LogEncoder, type ReplayObserver } from './log-encoder.ts';

const streams = ['a', 'b', 'a', 'a', 'b'];

/** The body of one commit over two streams, as the owner hands it over; of each stream the leaf before, if it gives that. */
function draftBody(commit = 0, leaves: (Uint8Array | undefined)[] = []): FrameBody {
  const revisions = [3 * commit, 2 * commit];
  // Of each stream: the third and the fourth of the commit before.
  const previous = commit === 0 ? [-1, -1] : [10 + commit * 5 - 2, 10 + commit * 5 - 1];
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
      previousPosition: previous[streamNumber]!,
      previousLeaf: leaves[streamNumber],
    };
    leaves[streamNumber] = undefined;
    revisions[streamNumber]! += 1;
    previous[streamNumber] = place.position;
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
  const encoder = new LogEncoder(observeNothing);
  return encoder.replay(body, new OffsetTable());
}

function completeBody(): { body: FrameBody; offsets: OffsetTable; encoder: LogEncoder } {
  const body = draftBody();
  const encoder = new LogEncoder(observeNothing);
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
      const transfer = [state.leaves.leaves.buffer, groups.buffer, rest.buffer];
      return LogEncoder.fromState(structuredClone(state, { transfer }));
    });
    expect(transferred).toEqual(expected);
  });

  it('goes on from what another one has replayed', () => {
    const stayed = new LogEncoder();
    const first = draftBody(0);
    stayed.complete(first, new OffsetTable());
    const replayed = new LogEncoder(observeNothing);
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
    const writer = new LogEncoder();
    writer.complete(first, new OffsetTable());
    writer.complete(second, new OffsetTable());
    const reader = new LogEncoder(observeNothing);
    expect(reader.replay(first, new OffsetTable())).toBeUndefined();
    const moved = LogEncoder.fromState(reader.takeState(), observeNothing);
    expect(moved.replay(second, new OffsetTable())).toBeUndefined();
    expect(moved.replay(first, new OffsetTable())).toContain('was recorded before');
  });

  it('is not used after it has moved', () => {
    const encoder = new LogEncoder(observeNothing);
    encoder.takeState();
    const offsets = new OffsetTable();
    expect(() => encoder.complete(draftBody(), offsets)).toThrow('Invariant broken');
    expect(() => encoder.replay(draftBody(), offsets)).toThrow('Invariant broken');
    expect(() => encoder.sealSegment()).toThrow('Invariant broken');
    expect(() => encoder.takeState()).toThrow('Invariant broken');
  });
});

describe('the link to the event before in its stream', () => {
  it('is found among the newest leaves, as many as are needed', () => {
    const whole = new LogEncoder();
    const four = new LogEncoder(undefined, new LeafRing(4));
    for (let commit = 0; commit < 5; commit += 1) {
      const [one, other] = [draftBody(commit), draftBody(commit)];
      whole.complete(one, new OffsetTable());
      four.complete(other, new OffsetTable());
      expect(other.bytes.equals(one.bytes)).toBe(true);
    }
    const two = new LogEncoder(undefined, new LeafRing(2));
    expect(() => two.complete(draftBody(0), new OffsetTable())).toThrow('Invariant broken');
  });

  it('comes with the record where its leaf is older', () => {
    const whole = new LogEncoder();
    whole.complete(draftBody(0), new OffsetTable());
    const expected = draftBody(1);
    whole.complete(expected, new OffsetTable());
    const { view, bytes } = expected;
    // The first record of each stream gets what stands in the finished one.
    const leaves = [0, recordSizeAt(view, 0)].map((at) =>
      bytes.subarray(at + PREVIOUS_LEAF_AT, at + PREVIOUS_LEAF_AT + 32),
    );
    const given = draftBody(1, leaves);
    const fresh = new LogEncoder();
    expect(fresh.leavesFrom(15)).toBe(15);
    fresh.complete(given, new OffsetTable());
    expect(given.bytes.equals(bytes)).toBe(true);
  });

  it('rests on leaves from the first position on since which none was left out', () => {
    const writer = new LogEncoder();
    const bodies = [0, 1, 2, 3].map((commit) => draftBody(commit));
    for (const body of bodies) {
      writer.complete(body, new OffsetTable());
    }
    const reader = new LogEncoder(observeNothing);
    const read = (commit: number): number => {
      expect(reader.replay(bodies[commit]!, new OffsetTable(), commit === 1)).toBeUndefined();
      return reader.leavesFrom(10 + (commit + 1) * streams.length);
    };
    expect(reader.leavesFrom(0)).toBe(0);
    expect(read(0)).toBe(10);
    expect(read(1)).toBe(10);
    expect(read(3)).toBe(25);
    expect(reader.leavesFrom(31)).toBe(31);
  });
});

const observeNothing: ReplayObserver = () => undefined;

/** Bytes and summaries of 120 commits in segments of 50; before every n-th commit the encoder is replaced. */
function run(moveEvery: number, move: (encoder: LogEncoder) => LogEncoder): unknown[] {
  let encoder = new LogEncoder();
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
