import { HashPositions } from '../collections/hash-positions.ts';
import type { Counts } from './format.ts';
import { GenerationStreams } from './generation-streams.ts';

/** A stretch of the log in memory: which events its streams have there, and where its keys and ids stand. */
export class Generation {
  readonly start: number;
  /** Behind its last event. */
  end: number;
  readonly streams: GenerationStreams = new GenerationStreams();
  /** By the hashes of keys; undefined once the tree answers for them. */
  keys: HashPositions | undefined = new HashPositions();
  ids: HashPositions | undefined = new HashPositions();
  /** Positions of first events of streams, counted from `start`. */
  readonly firsts: number[] = [];
  readonly #keyCounts = { keys: 0, ids: 0 };

  constructor(start: number) {
    this.start = start;
    this.end = start;
  }

  get eventCount(): number {
    return this.end - this.start;
  }

  /** Streams that begin in it, keys and ids in it. */
  get counts(): Counts {
    return { streams: this.firsts.length, ...this.#keyCounts };
  }

  /** Bytes that it takes, about. */
  get memorySize(): number {
    const hashes = (this.keys?.memorySize ?? 0) + (this.ids?.memorySize ?? 0);
    return this.streams.memorySize + hashes + 8 * this.firsts.length;
  }

  /** Adds the event behind the last one, of the stream with this number in it. */
  addEvent(stream: number): void {
    const index = this.eventCount;
    if (this.streams.baseOf(stream) + this.streams.countOf(stream) === 0) {
      this.firsts.push(index);
    }
    this.streams.push(stream, index);
    this.end += 1;
  }

  addKey(low: number, high: number, position: number): void {
    this.keys?.add(low, high, position - this.start);
    this.#keyCounts.keys += 1;
  }

  addId(low: number, high: number, position: number): void {
    this.ids?.add(low, high, position - this.start);
    this.#keyCounts.ids += 1;
  }

  /** The tree answers for its keys and ids. */
  dropHashes(): void {
    this.keys = undefined;
    this.ids = undefined;
  }
}
