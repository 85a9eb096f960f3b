import { assert } from '../base/assert.ts';
import {
  DIGEST_WORDS,
  hasDigest,
  HashOfHashes,
  type HashOfHashesState,
  putDigest,
  sha256,
  sha256Words,
} from '../base/digest.ts';
import { firstNonZero } from '../base/integers.ts';
import type { FrameBody, FrameEncoder, SegmentSummary } from '../journal/encoder.ts';
import type { OffsetTable } from '../journal/offset-table.ts';
import { DIGEST_AT, PREVIOUS_LEAF_AT, recordHeaderCrc } from './format.ts';
import { LeafRing, type LeafRingState } from './leaf-ring.ts';
import { RecordView } from './record-view.ts';

/** Receives each record that is read back at open, in order. Returns what is wrong with it, if that shows there. */
export type ReplayObserver = (record: RecordView, fileOffset: number) => string | undefined;

/** Everything that a log encoder knows, as `structuredClone` and `postMessage` take it; buffers may be transferred. */
export interface LogEncoderState {
  readonly leaves: LeafRingState;
  readonly segmentLeaves: HashOfHashesState;
  readonly minTime: number;
  readonly maxTime: number;
  readonly segmentCount: number;
}

/**
 * Gives records their hashes: payload digest, link to the stream's previous leaf, leaf (DESIGN: RFC 6962). Runs on the
 * writer's side, in log order.
 */
export class LogEncoder implements FrameEncoder {
  readonly #leaves: LeafRing;
  readonly #observe: ReplayObserver | undefined;
  readonly #record = new RecordView();
  readonly #digest = new Int32Array(DIGEST_WORDS);
  #segmentLeaves = new HashOfHashes();
  #minTime = 0;
  #maxTime = 0;
  #segmentCount = 0;
  #hasMoved = false;

  constructor(observe?: ReplayObserver, leaves: LeafRing = new LeafRing()) {
    this.#observe = observe;
    this.#leaves = leaves;
  }

  /** An encoder that goes on where the one that gave the state away stopped. */
  static fromState(state: LogEncoderState, observe?: ReplayObserver): LogEncoder {
    const encoder = new LogEncoder(observe, LeafRing.fromState(state.leaves));
    encoder.#segmentLeaves = HashOfHashes.fromState(state.segmentLeaves);
    encoder.#minTime = state.minTime;
    encoder.#maxTime = state.maxTime;
    encoder.#segmentCount = state.segmentCount;
    return encoder;
  }

  /** Gives the state away, for another thread to go on with; the encoder must not be used afterwards. */
  takeState(): LogEncoderState {
    assert(!this.#hasMoved, 'a log encoder moves once');
    this.#hasMoved = true;
    return {
      leaves: this.#leaves.takeState(),
      segmentLeaves: this.#segmentLeaves.takeState(),
      minTime: this.#minTime,
      maxTime: this.#maxTime,
      segmentCount: this.#segmentCount,
    };
  }

  /** The first position whose leaf it has, with all after it up to `end`, where the log that it has replayed ends. */
  leavesFrom(end: number): number {
    return this.#leaves.leavesFrom(end);
  }

  complete(body: FrameBody, offsets: OffsetTable): void {
    assert(!this.#hasMoved, 'a log encoder is not used after it has moved');
    const { bytes, view } = body;
    const end = body.start + body.size;
    const record = this.#record;
    for (let at = body.start; at < end; at = record.end) {
      record.openDraft(bytes, view, at, end);
      // Order: it stands where the digest will.
      const { linkPosition } = record;
      if (linkPosition >= 0) {
        this.#leaves.copyTo(linkPosition, view, at + PREVIOUS_LEAF_AT);
      }
      sha256Words(record.digestInput, this.#digest, 0);
      putDigest(view, at + DIGEST_AT, this.#digest, 0);
      this.#addLeaf(record);
      view.setUint32(at, recordHeaderCrc(view, at, record.headerSize), true);
      offsets.push(body.fileOffset + at - body.start);
    }
  }

  replay(body: FrameBody, offsets: OffsetTable, isKnown = false): string | undefined {
    const observe = this.#observe;
    assert(!this.#hasMoved, 'a log encoder is not used after it has moved');
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
      const refusal = isKnown ? undefined : observe?.(record, fileOffset);
      if (refusal !== undefined) {
        return refusal;
      }
      if (record.time < this.#maxTime) {
        return `the event at position ${record.position} was recorded before the one in front of it`;
      }
      if (index > 0 && record.time !== this.#maxTime) {
        return `the event at position ${record.position} has another time than its commit`;
      }
      this.#addLeaf(record);
      offsets.push(fileOffset);
      at = record.end;
    }
    return at === end ? undefined : 'the frame holds more than its records';
  }

  /** The leaf of the frame's last event. */
  markOf({ bytes, view, start, size }: FrameBody): Uint8Array | undefined {
    const record = this.#record;
    const end = start + size;
    for (let at = start; at < end; at = record.end) {
      if (record.open(bytes, view, at, end) !== undefined) {
        return undefined;
      }
    }
    return sha256(record.leafInput);
  }

  sealSegment(): SegmentSummary {
    assert(!this.#hasMoved, 'a log encoder is not used after it has moved');
    const summary = {
      digest: this.#segmentLeaves.finish(),
      minStamp: this.#minTime,
      maxStamp: this.#maxTime,
    };
    this.#segmentCount = 0;
    return summary;
  }

  #addLeaf(record: RecordView): void {
    const leaf = this.#digest;
    sha256Words(record.leafInput, leaf, 0);
    this.#leaves.add(record.position, leaf, 0);
    this.#segmentLeaves.add(leaf, 0);
    this.#maxTime = record.time;
    if (this.#segmentCount === 0) {
      this.#minTime = this.#maxTime;
    }
    this.#segmentCount += 1;
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
  return undefined;
}

/** Checks a record's prefix and header against the CRC in front of them. */
export function checkCrc(record: RecordView): string | undefined {
  const expected = record.view.getUint32(record.start, true);
  return recordHeaderCrc(record.view, record.start, record.headerSize) === expected
    ? undefined
    : 'a record header does not match its checksum';
}

const payloadDigest = new Int32Array(DIGEST_WORDS);

/** Checks a payload against the digest in its record's header; of one that was erased nothing may be left. */
export function checkDigest(record: RecordView): string | undefined {
  const { digestInput } = record;
  if (record.isErased) {
    const { length } = digestInput;
    return firstNonZero(digestInput, 0, length) === length
      ? undefined
      : 'an erased payload is still there';
  }
  sha256Words(digestInput, payloadDigest, 0);
  return hasDigest(record.view, record.start + DIGEST_AT, payloadDigest, 0)
    ? undefined
    : 'the payload does not match its digest';
}
