/**
 * What the owner of a store and its clients in other threads say to each other. Appends travel through a lane of shared memory
 * (journal/lane-layout.ts); the port carries wake-ups, acknowledgements in batches, and everything that is asked seldom.
 * Both sides are the same version of Varve, in one process; the handshake makes sure of that.
 *
 * A record in a lane is a piece of a commit:
 *
 *   request (4) | size of the whole commit (4) | as much of it as the record has room for
 *
 * Most commits are one piece. Pieces of a larger one follow each other, and it is decided about when the last one is there. A
 * size of 0 takes back a commit that was begun.
 */
import type { PackedError } from '../base/error-transfer.ts';
import type { LaneMemory } from '../journal/lane-layout.ts';
import type { CommitKey, CommitResult } from './contract.ts';
import type { ReadPlan } from './event-read.ts';
import type { ListingPlan } from './stream-listing.ts';

export const PROTOCOL_VERSION = 3;

/** Client → owner: there are records in a lane, and you were asleep. */
export const WAKE = 1;
/** Owner → client: there may be room in your lane, and you waited for it. */
export const ROOM = 2;

/** Words that the owner writes and every client reads. */
export const StoreCell: { readonly head: 0; readonly isClosing: 1 } = {
  /** Positions that are visible: an unsigned number. */
  head: 0,
  /** 1 once the owner takes no further calls. */
  isClosing: 1,
} as const;
export const STORE_WORD_COUNT = 2;

export const PIECE_HEADER_SIZE = 8;

/** A page ends with the event that reaches one of these. */
export const PAGE_COUNT_MAX = 256;
export const PAGE_SIZE_MAX: number = 256 * 1024;

export interface Hello {
  readonly kind: 'hello';
  readonly protocol: number;
  readonly laneSize: number;
}

/** What a client asks for; the answer carries the same number. */
export type ClientCall =
  | { readonly name: 'get'; readonly position: number }
  | { readonly name: 'getById'; readonly id: string }
  | { readonly name: 'findCommit'; readonly key: CommitKey }
  | { readonly name: 'streamHead'; readonly stream: string }
  | { readonly name: 'flush' }
  | { readonly name: 'waitFor'; readonly position: number }
  /** The first page of a read; `cursor` is for the next ones. */
  | { readonly name: 'read'; readonly plan: ReadPlan; readonly cursor: number }
  | { readonly name: 'list'; readonly plan: ListingPlan; readonly cursor: number }
  | { readonly name: 'next-page'; readonly cursor: number };

export type ClientMessage =
  | typeof WAKE
  | Hello
  | { readonly kind: 'call'; readonly request: number; readonly call: ClientCall }
  /** The answer to a call isn't wanted any more. */
  | { readonly kind: 'cancel'; readonly request: number }
  /** Appends whose signals have aborted. */
  | { readonly kind: 'abort'; readonly requests: readonly number[] }
  | { readonly kind: 'close-cursor'; readonly cursor: number };

export interface Welcome {
  readonly kind: 'welcome';
  readonly id: string;
  readonly storeWords: Int32Array;
  readonly hubWords: Int32Array;
  readonly lane: LaneMemory;
  readonly compression: string;
  readonly compressionMinBytes: number;
}

export type OwnerMessage =
  | typeof ROOM
  | Acks
  /**
   * The first message on every port, before anybody is there to read it. A port whose other end has gone tells so only behind
   * a message that waits.
   */
  | { readonly kind: 'offer' }
  | Welcome
  | { readonly kind: 'refused'; readonly error: PackedError }
  /** The client has broken the protocol. */
  | { readonly kind: 'expelled'; readonly error: PackedError }
  /** Appends that were refused, and results that do not fit `Acks`. */
  | {
      readonly kind: 'outcomes';
      readonly results: readonly { readonly request: number; readonly result: CommitResult }[];
      readonly failures: readonly { readonly request: number; readonly error: PackedError }[];
    }
  | { readonly kind: 'answer'; readonly request: number; readonly value: unknown }
  | { readonly kind: 'failure'; readonly request: number; readonly error: PackedError }
  | { readonly kind: 'closed' };

/** Results of commits to one stream, `ACK_COUNT` numbers each, in the order of `AckField`. */
export type Acks = Float64Array;
export const AckField = {
  request: 0,
  firstPosition: 1,
  lastPosition: 2,
  revision: 3,
  time: 4,
  isDuplicate: 5,
} as const;
export const ACK_COUNT = 6;

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Why it was the last one, if it was. */
  readonly stopped: 'end' | 'limit' | 'bytes' | undefined;
  /** What happened behind the items, if something did: the last page, too. */
  readonly failure?: PackedError;
}

/** Requests are numbered in the order of the calls and wrap at 2^32, as in the lane. */
export function requestAfter(number: number): number {
  return (number + 1) >>> 0;
}
