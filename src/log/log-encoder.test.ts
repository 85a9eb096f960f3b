import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { viewOf } from '../base/integers.ts';
import type { FrameBody } from '../journal/encoder.ts';
import { OffsetTable } from '../journal/offset-table.ts';
import { encodeDraft, recordSizeOf, SALT_SIZE } from './format.ts';
import { MemoryLeafStore } from './leaf-store.ts';
import { LogEncoder } from './log-encoder.ts';

const streams = ['a', 'b', 'a', 'a', 'b'];

/** The body of one commit over two streams, as the owner hands it over. */
function draftBody(): FrameBody {
  const revisions = [0, 0];
  const pieces: Buffer[] = [];
  for (const [index, stream] of streams.entries()) {
    const streamNumber = stream === 'a' ? 0 : 1;
    const data = `{"index":${index}}`;
    const content = {
      stream,
      streamSize: 1,
      type: 'T',
      typeSize: 1,
      id: '',
      idSize: 0,
      correlationId: '',
      correlationSize: 0,
      causationId: '',
      causationSize: 0,
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
    const draft = {
      position: 10 + index,
      revision: revisions[streamNumber]!,
      time: 1_000 + index,
      commitIndex: index,
      commitCount: streams.length,
      content,
      idempotencyKey: '',
      idempotencyKeySize: 0,
      idDraw: 1,
      streamNumber,
    };
    revisions[streamNumber]! += 1;
    const piece = Buffer.alloc(recordSizeOf(content, 0));
    encodeDraft(piece, viewOf(piece), 0, draft, new Uint8Array(SALT_SIZE).fill(index + 1));
    pieces.push(piece);
  }
  const bytes = Buffer.concat(pieces);
  const { length } = streams;
  const place = { start: 0, size: bytes.length, firstPosition: 10, count: length, fileOffset: 176 };
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
      const record = body.bytes.subarray(at, at + body.bytes.readUInt32LE(at));
      const header = record.subarray(16, 16 + record.readUInt16LE(10));
      const previous = leaves.get(stream) ?? Buffer.alloc(32);
      expect(header.subarray(64, 96).equals(previous)).toBe(true);
      const salted = record.subarray(16 + header.length);
      expect(header.subarray(96, 128).equals(sha256(salted))).toBe(true);
      expect(record.readUInt32LE(4)).toBe(crc32(record.subarray(8, 16 + header.length)));
      expect(offsets.at(index)).toBe(176 + at);
      const leaf = sha256(Buffer.concat([Buffer.of(0), header]));
      leaves.set(stream, leaf);
      all.push(leaf);
      at += record.length;
    }
    expect(encoder.sealSegment()).toEqual({
      digest: new Uint8Array(sha256(Buffer.concat(all))),
      minStamp: 1_000,
      maxStamp: 1_004,
    });
  });

  it('accepts on replay what it has completed', () => {
    expect(replayOf(completeBody().body)).toBeUndefined();
  });

  it('refuses on replay every flipped bit of a record but those of its payload', () => {
    const { body } = completeBody();
    const payloadBits = new Set<number>();
    for (let at = 0; at < body.size; at += body.bytes.readUInt32LE(at)) {
      const start = at + 16 + body.bytes.readUInt16LE(at + 10);
      for (let bit = start * 8; bit < (at + body.bytes.readUInt32LE(at)) * 8; bit += 1) {
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

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
