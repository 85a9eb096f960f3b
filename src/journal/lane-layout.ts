/**
 * The words and bytes that threads share, who writes each word, and in which order. Everything else a lane needs is private to
 * one side.
 *
 * A *hub* is one consumer's block; every producer that feeds it shares these words:
 *
 *   clock    producers add 1 and own the number they got: the record's ticket
 *   asleep   the consumer stores 1 before it sleeps and 0 when it finds work after all; a producer exchanges it for 0, and
 *            whoever got the 1 wakes the consumer
 *
 * A *lane* belongs to one producer and that consumer:
 *
 *   tail     producer: address behind the last record that is whole
 *   head     consumer: address before which it needs nothing any more
 *   waits    the producer stores 1 before it waits for room and 0 when it finds some after all; the consumer exchanges it
 *            for 0 after it has moved the head, and whoever got the 1 wakes the producer
 *
 * The owner's lane to the writer has some more:
 *
 *   written  writer: address before which everything is in a file
 *   wanted   owner: address behind the last frame whose maker asked to hear that it is written
 *   orders   owner: adds 1 for each message sent to the writer, which counts how many it has received
 *   told     the writer exchanges it for 1 when a watermark has moved, and whoever got a 0 sends the owner a message; the owner
 *            stores 0 before it looks at the watermarks
 *
 * Addresses count granules of 8 bytes and wrap at 2^32: only differences mean anything, and they stay below 2^31.
 *
 * Order, producer:  take a ticket → fill the record → store tail → look at asleep.
 * Order, consumer:  load clock → load every tail → take records with tickets below that clock, smallest first → … → store
 *                   head → look at waits. Before sleeping: store asleep → load every tail again.
 *
 * Why it holds. *No half records*: the record is filled before the tail that covers it is stored. *Causal order*: if one append
 * returned before another began, its ticket is smaller and its tail was stored before the other took a ticket; a consumer
 * whose clock covers the second loads tails after that, so it sees the first too and takes it first or has taken it. *No lost
 * wake-up*: of "store tail, look at asleep" and "store asleep, look at tail" the later look sees the other's store. *A
 * producer may die anywhere*: a ticket without a record stalls nobody, for tickets need not be dense, and a record without a
 * tail was never there; nothing is locked. But it may have got the 1 out of asleep and woken nobody: the consumer must take
 * the news of its death as a wake-up.
 *
 * A record is a word with its size (header included, a multiple of 8), a word with its ticket, and content. It stands in one
 * piece: where the rest of the lane is too small, the size word says that the lane goes on at its beginning.
 */

const WORDS_PER_LINE = 16;

/** Indexes into a hub's words: one cache line each, for different threads write them. */
export const HubCell: Readonly<Record<'clock' | 'asleep', number>> = {
  clock: 0,
  asleep: WORDS_PER_LINE,
};
export const HUB_WORD_COUNT: number = 2 * WORDS_PER_LINE;

/** Indexes into a lane's words. */
export const LaneCell: Readonly<
  Record<'tail' | 'head' | 'waits' | 'written' | 'wanted' | 'orders' | 'told', number>
> = {
  tail: 0,
  head: WORDS_PER_LINE,
  waits: 2 * WORDS_PER_LINE,
  written: 3 * WORDS_PER_LINE,
  wanted: 4 * WORDS_PER_LINE,
  orders: 5 * WORDS_PER_LINE,
  told: 6 * WORDS_PER_LINE,
};
const LANE_WORD_COUNT = 7 * WORDS_PER_LINE;

export const GRANULE = 8;
export const RECORD_HEADER_SIZE = 8;
/** In place of a size: the lane goes on at its beginning. */
export const SKIP = -1;

/** The memory of one lane, as it is handed to another thread. */
export interface LaneMemory {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
}

/** `capacity` is rounded up to whole granules; a record may be as large as that. Zeroed memory costs nothing until used. */
export function makeLaneMemory(capacity: number, isShared: boolean): LaneMemory {
  const wordsSize = LANE_WORD_COUNT * 4;
  const size = wordsSize + Math.ceil(capacity / GRANULE) * GRANULE;
  const buffer = isShared ? new SharedArrayBuffer(size) : new ArrayBuffer(size);
  return {
    words: new Int32Array(buffer, 0, LANE_WORD_COUNT),
    bytes: new Uint8Array(buffer, wordsSize),
  };
}

export function makeHubWords(isShared: boolean): Int32Array {
  const size = HUB_WORD_COUNT * 4;
  return new Int32Array(isShared ? new SharedArrayBuffer(size) : new ArrayBuffer(size));
}

/** `address − other`, which may be negative. */
export function distance(address: number, other: number): number {
  return (address - other) | 0;
}
