import { assert } from '../base/assert.ts';
import { DIGEST_SIZE, HashOfHashes, sha256Into } from '../base/digest.ts';
import type { FrameBody, FrameEncoder, SegmentSummary } from '../journal/encoder.ts';
import type { OffsetTable } from '../journal/offset-table.ts';
import { DIGEST_AT, PREVIOUS_LEAF_AT, recordHeaderCrc, RecordView } from './format.ts';
import type { LeafStore } from './leaf-store.ts';

/**
 * Receives each record that is read back at open, in order, and answers with the number of its stream, or with what is
 * wrong with the record.
 */
export type ReplayObserver = (record: RecordView, fileOffset: number) => number | string;

/**
 * Gives records their hashes: payload digest, link to the stream's previous leaf, leaf (DESIGN: RFC 6962). Runs on the
 * writer's side, in log order.
 */
export class LogEncoder implements FrameEncoder {
  readonly #leaves: LeafStore;
  readonly #observe: ReplayObserver;
  readonly #record = new RecordView();
  readonly #leaf = new Uint8Array(DIGEST_SIZE);
  readonly #previous = new Uint8Array(DIGEST_SIZE);
  readonly #segmentLeaves = new HashOfHashes();
  #minTime = 0;
  #maxTime = 0;
  #segmentCount = 0;

  constructor(leaves: LeafStore, observe: ReplayObserver) {
    this.#leaves = leaves;
    this.#observe = observe;
  }

  complete(body: FrameBody, offsets: OffsetTable): void {
    const { bytes, view } = body;
    const end = body.start + body.size;
    const record = this.#record;
    for (let at = body.start; at < end; at = record.end) {
      const problem = record.open(bytes, view, at, end);
      assert(problem === undefined, 'the owner encodes well-formed records');
      const stream = record.streamNumber;
      sha256Into(record.digestInput, bytes, at + DIGEST_AT);
      this.#leaves.copyTo(stream, bytes, at + PREVIOUS_LEAF_AT);
      this.#addLeaf(record, stream);
      view.setUint32(at + 4, recordHeaderCrc(bytes, at, record.headerSize), true);
      offsets.push(body.fileOffset + at - body.start);
    }
  }

  replay(body: FrameBody, offsets: OffsetTable): string | undefined {
    const { bytes, view } = body;
    const end = body.start + body.size;
    const record = this.#record;
    let at = body.start;
    for (let index = 0; index < body.count; index += 1) {
      const problem =
        record.open(bytes, view, at, end) ?? checkPlace(record, body, index) ?? checkCrc(record);
      if (problem !== undefined) {
        return problem;
      }
      const fileOffset = body.fileOffset + at - body.start;
      const stream = this.#observe(record, fileOffset);
      if (typeof stream === 'string') {
        return stream;
      }
      if (!this.#followsLeaf(record, stream)) {
        return `the event at position ${record.position} is not linked to the one before it in its stream`;
      }
      if (record.time < this.#maxTime) {
        return `the event at position ${record.position} was recorded before the one in front of it`;
      }
      this.#addLeaf(record, stream);
      offsets.push(fileOffset);
      at = record.end;
    }
    return at === end ? undefined : 'the frame holds more than its records';
  }

  sealSegment(): SegmentSummary {
    const summary = {
      digest: this.#segmentLeaves.finish(),
      minStamp: this.#minTime,
      maxStamp: this.#maxTime,
    };
    this.#segmentCount = 0;
    return summary;
  }

  #addLeaf(record: RecordView, stream: number): void {
    sha256Into(record.leafInput, this.#leaf, 0);
    this.#leaves.set(stream, this.#leaf, 0);
    this.#segmentLeaves.add(this.#leaf, 0);
    this.#maxTime = record.time;
    if (this.#segmentCount === 0) {
      this.#minTime = this.#maxTime;
    }
    this.#segmentCount += 1;
  }

  #followsLeaf(record: RecordView, stream: number): boolean {
    this.#leaves.copyTo(stream, this.#previous, 0);
    const at = record.start + PREVIOUS_LEAF_AT;
    for (let index = 0; index < DIGEST_SIZE; index += 1) {
      if (record.bytes[at + index] !== this.#previous[index]) {
        return false;
      }
    }
    return true;
  }
}

/** Checks that a record stands where its frame says, and says so itself. */
export function checkPlace(
  record: RecordView,
  body: Pick<FrameBody, 'firstPosition' | 'count'>,
  index: number,
): string | undefined {
  if (record.position !== body.firstPosition + index) {
    return `a record says position ${record.position} where ${body.firstPosition + index} stands`;
  }
  if (record.commitIndex !== index || record.commitCount !== body.count) {
    return 'a record says it belongs to another commit';
  }
  if (index > 0 && (record.idempotencyKey !== '' || record.idempotencyScope !== '')) {
    return 'a record that does not begin a commit has an idempotency key';
  }
  return undefined;
}

/** Checks a record's prefix and header against the CRC in front of them. */
export function checkCrc(record: RecordView): string | undefined {
  const expected = record.view.getUint32(record.start + 4, true);
  return recordHeaderCrc(record.bytes, record.start, record.headerSize) === expected
    ? undefined
    : 'a record header does not match its checksum';
}
