/** The owner's end of one client's lane: puts commits together from their pieces. */
import { assert } from '../base/assert.ts';
import { viewOf } from '../base/integers.ts';
import { limits } from '../base/limits.ts';
import type { LaneConsumer } from '../journal/lane.ts';
import { RECORD_HEADER_SIZE } from '../journal/lane-layout.ts';
import { PIECE_HEADER_SIZE } from './client-protocol.ts';
import { TransferredCommit } from './commit-transfer.ts';

const CONTENT_AT = RECORD_HEADER_SIZE + PIECE_HEADER_SIZE;

export class ClientLane<Client> {
  readonly consumer: LaneConsumer;
  readonly client: Client;
  /** Number of the request that was completed last. */
  request = 0;
  /** The commit of which pieces have come. */
  #begun: { readonly request: number; readonly bytes: Buffer; filled: number } | undefined;

  constructor(consumer: LaneConsumer, client: Client) {
    this.consumer = consumer;
    this.client = client;
  }

  /**
   * The commit that the record at hand completes, or undefined if it completes none. The records of one that came in one
   * piece lie in the lane.
   */
  take(): TransferredCommit | undefined {
    const { bytes, view, start, size } = this.consumer;
    const request = view.getUint32(start + RECORD_HEADER_SIZE, true);
    const total = view.getUint32(start + RECORD_HEADER_SIZE + 4, true);
    const contentStart = start + CONTENT_AT;
    const available = size - CONTENT_AT;
    assert(total < 2 * limits.frameSizeMax, 'a commit in pieces is not larger than one may be');
    if (total === 0) {
      // Taken back: what has come of it is forgotten.
      assert(this.#begun?.request === request, 'only what was begun is taken back');
      this.#begun = undefined;
      this.request = request;
      return undefined;
    }
    if (this.#begun === undefined && total <= available) {
      this.request = request;
      return new TransferredCommit(bytes, view, contentStart, contentStart + total);
    }
    const begun = (this.#begun ??= { request, bytes: Buffer.allocUnsafe(total), filled: 0 });
    assert(begun.request === request, 'the pieces of a commit follow each other');
    assert(begun.bytes.length === total, 'the pieces of a commit agree on its size');
    const count = Math.min(available, total - begun.filled);
    bytes.copy(begun.bytes, begun.filled, contentStart, contentStart + count);
    begun.filled += count;
    if (begun.filled < total) {
      return undefined;
    }
    this.#begun = undefined;
    this.request = request;
    return new TransferredCommit(begun.bytes, viewOf(begun.bytes), 0, total);
  }
}
