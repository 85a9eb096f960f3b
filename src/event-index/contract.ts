import type { Derived } from '../derived/contract.ts';

/**
 * Answers "where are a stream's events?". Streams become numbers, which are not persisted. Knows every commit that was given a
 * position, durable or not: whoever reads passes the position up to which it may see.
 */
export interface StreamIndex extends Derived {
  /** Streams that were ever seen. */
  readonly streamCount: number;
  /** The stream's number, or undefined if it was never seen. */
  find(name: string): number | undefined;
  /** The stream's number, given now if it is new. */
  intern(name: string): number;
  nameOf(number: number): string;
  /** Bytes of the stream's name in UTF-8. */
  nameSizeOf(number: number): number;
  /** Events of the stream, visible or not: the revision that its next event gets. */
  countOf(number: number): number;
  /** Position of the stream's last event, or -1. */
  lastPositionOf(number: number): number;
  /** Adds the stream's next event. */
  add(number: number, position: number): void;
  /** Position of the event with this revision, which must be there. */
  positionAt(number: number, revision: number): number;
  /** How many of the stream's events lie below `position`. */
  countBelow(number: number, position: number): number;
}
