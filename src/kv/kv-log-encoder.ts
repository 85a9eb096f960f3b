import type { FrameBody, FrameEncoder, SegmentSummary } from '../journal/encoder.ts';
import type { OffsetTable } from '../journal/offset-table.ts';
import { decodeOperations, type OperationVisitor } from './format.ts';

/**
 * The log of a key-value store in the journal's eyes: positions are sequences less one, and nothing needs to be added to a body
 * but the checksums that every frame has.
 */
export class KvLogEncoder implements FrameEncoder {
  readonly #visit: OperationVisitor | undefined;

  /** `visit` sees the operations of frames read back. */
  constructor(visit?: OperationVisitor) {
    this.#visit = visit;
  }

  complete(body: FrameBody, offsets: OffsetTable): void {
    noteOffsets(body, offsets);
  }

  replay(body: FrameBody, offsets: OffsetTable): string | undefined {
    noteOffsets(body, offsets);
    const bytes = body.bytes.subarray(body.start, body.start + body.size);
    const visit = this.#visit ?? ((): void => {});
    return decodeOperations(bytes, body.count, body.firstPosition + 1, visit);
  }

  sealSegment(): SegmentSummary {
    return { digest: new Uint8Array(32), minStamp: 0, maxStamp: 0 };
  }
}

/** Operations are never looked up one by one: each is where its batch begins. */
function noteOffsets(body: FrameBody, offsets: OffsetTable): void {
  for (let index = 0; index < body.count; index += 1) {
    offsets.push(body.fileOffset);
  }
}
