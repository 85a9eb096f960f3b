import { readUint64, viewOf } from '../../base/integers.ts';

/**
 * Reads fields one after the other from bytes that are not to be trusted. What doesn't fit is remembered as `problem`, and
 * from then on everything reads as zero: callers ask once, at the end.
 */
export class ByteReader {
  /** What was wrong first. */
  problem: string | undefined;
  /** Where reading stands, or where the first problem is. */
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #end: number;

  constructor(bytes: Uint8Array, end: number) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#end = end;
  }

  get rest(): number {
    return this.#end - this.at;
  }

  refuse(problem: string): void {
    this.problem ??= problem;
  }

  skip(size: number): void {
    this.#take(size);
  }

  flags8(known: number): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.#knownFlags(this.#bytes[at]!, known);
  }

  flags32(known: number): number {
    return this.#knownFlags(this.uint32(), known);
  }

  uint32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.#view.getUint32(at, true);
  }

  uint64(): number {
    const at = this.#take(8);
    const value = at < 0 ? 0 : readUint64(this.#view, at);
    if (Number.isSafeInteger(value)) {
      return value;
    }
    this.refuse('a number is larger than any that is written');
    return 0;
  }

  /** A copy. */
  bytes(size: number): Uint8Array {
    const at = this.#take(size);
    return at < 0 ? new Uint8Array(0) : this.#bytes.slice(at, at + size);
  }

  #knownFlags(flags: number, known: number): number {
    if ((flags & ~known) !== 0) {
      this.refuse('a flag is set that has no meaning');
    }
    return flags & known;
  }

  /** Where `size` bytes begin, or -1 if they aren't there. */
  #take(size: number): number {
    if (this.problem !== undefined) {
      return -1;
    }
    if (size > this.rest) {
      this.refuse('the manifest ends in the middle of a field');
      return -1;
    }
    const at = this.at;
    this.at += size;
    return at;
  }
}
