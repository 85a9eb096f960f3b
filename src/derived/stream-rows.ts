/** Events by stream: names in one array, found by a hash table; the events of a stream are a chain, so that nothing grows by itself. */
import { copyRange } from '../base/copy-bytes.ts';

const SLOT_COUNT_FIRST = 4_096;
const NONE = 0xffff_ffff;

export class StreamRows {
  /** All names, one after the other. */
  names: Uint8Array = new Uint8Array(64 * 1_024);
  starts: Uint32Array = new Uint32Array(SLOT_COUNT_FIRST / 2);
  sizes: Uint16Array = new Uint16Array(SLOT_COUNT_FIRST / 2);
  /** Streams. */
  count = 0;
  #namesEnd = 0;
  #slots = new Uint32Array(SLOT_COUNT_FIRST).fill(NONE);
  #hashes = new Uint32Array(SLOT_COUNT_FIRST / 2);
  #firstRevisions = new Float64Array(SLOT_COUNT_FIRST / 2);
  #eventCounts = new Uint32Array(SLOT_COUNT_FIRST / 2);
  #lastEvents = new Uint32Array(SLOT_COUNT_FIRST / 2);
  /** For each event the one before it in its stream. */
  #previous = new Uint32Array(SLOT_COUNT_FIRST);
  #eventCount = 0;

  readonly #seed: number;

  /** `seed`: whoever chooses names doesn't know it, so can't choose ones that collide. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Adds the next event, of the stream whose name is the `size` bytes from `start` on. False if its revision doesn't follow the one before. */
  add(bytes: Uint8Array, start: number, size: number, revision: number): boolean {
    const stream = this.#find(bytes, start, size);
    const event = this.#eventCount;
    if (event === this.#previous.length) {
      this.#previous = grown(this.#previous, new Uint32Array(event * 2));
    }
    const known = this.#eventCounts[stream]!;
    if (known === 0) {
      this.#firstRevisions[stream] = revision;
    }
    if (revision !== this.#firstRevisions[stream]! + known) {
      return false;
    }
    this.#previous[event] = known === 0 ? NONE : this.#lastEvents[stream]!;
    this.#lastEvents[stream] = event;
    this.#eventCounts[stream] = known + 1;
    this.#eventCount += 1;
    return true;
  }

  firstRevisionOf(stream: number): number {
    return this.#firstRevisions[stream]!;
  }

  lastRevisionOf(stream: number): number {
    return this.#firstRevisions[stream]! + this.#eventCounts[stream]! - 1;
  }

  lastEventOf(stream: number): number {
    return this.#lastEvents[stream]!;
  }

  /** Ascending. */
  eventsOf(stream: number): Uint32Array {
    const events = new Uint32Array(this.#eventCounts[stream]!);
    let event = this.#lastEvents[stream]!;
    for (let index = events.length - 1; index >= 0; index -= 1) {
      events[index] = event;
      event = this.#previous[event]!;
    }
    return events;
  }

  #find(bytes: Uint8Array, start: number, size: number): number {
    const hash = hashOf(this.#seed, bytes, start, size);
    const mask = this.#slots.length - 1;
    let slot = (hash ^ (hash >>> 15)) & mask;
    for (let stream = this.#slots[slot]!; stream !== NONE; stream = this.#slots[slot]!) {
      if (this.#hashes[stream] === hash && this.#isName(stream, bytes, start, size)) {
        return stream;
      }
      slot = (slot + 1) & mask;
    }
    const stream = this.#addName(hash, bytes, start, size);
    this.#slots[slot] = stream;
    if (this.count * 2 > this.#slots.length) {
      this.#growSlots();
    }
    return stream;
  }

  #isName(stream: number, bytes: Uint8Array, start: number, size: number): boolean {
    if (this.sizes[stream] !== size) {
      return false;
    }
    const names = this.names;
    const at = this.starts[stream]!;
    for (let index = size - 1; index >= 0; index -= 1) {
      if (names[at + index] !== bytes[start + index]) {
        return false;
      }
    }
    return true;
  }

  #addName(hash: number, bytes: Uint8Array, start: number, size: number): number {
    const stream = this.count;
    if (stream === this.starts.length) {
      this.#growStreams();
    }
    const at = this.#namesEnd;
    if (at + size > this.names.length) {
      this.names = grown(this.names, new Uint8Array(this.names.length * 2));
    }
    copyRange(bytes, start, start + size, this.names, at);
    this.starts[stream] = at;
    this.sizes[stream] = size;
    this.#hashes[stream] = hash;
    this.#namesEnd = at + size;
    this.count += 1;
    return stream;
  }

  #growStreams(): void {
    const count = this.starts.length * 2;
    this.starts = grown(this.starts, new Uint32Array(count));
    this.sizes = grown(this.sizes, new Uint16Array(count));
    this.#hashes = grown(this.#hashes, new Uint32Array(count));
    this.#firstRevisions = grown(this.#firstRevisions, new Float64Array(count));
    this.#eventCounts = grown(this.#eventCounts, new Uint32Array(count));
    this.#lastEvents = grown(this.#lastEvents, new Uint32Array(count));
  }

  #growSlots(): void {
    const slots = new Uint32Array(this.#slots.length * 2).fill(NONE);
    const mask = slots.length - 1;
    for (let stream = 0; stream < this.count; stream += 1) {
      const hash = this.#hashes[stream]!;
      let slot = (hash ^ (hash >>> 15)) & mask;
      while (slots[slot] !== NONE) {
        slot = (slot + 1) & mask;
      }
      slots[slot] = stream;
    }
    this.#slots = slots;
  }
}

function hashOf(seed: number, bytes: Uint8Array, start: number, size: number): number {
  let hash = seed ^ size;
  for (let index = start; index < start + size; index += 1) {
    hash = Math.imul(hash ^ bytes[index]!, 0x0100_0193);
  }
  return hash >>> 0;
}

function grown<Words extends Uint8Array | Uint16Array | Uint32Array | Float64Array>(
  old: Words,
  larger: Words,
): Words {
  larger.set(old);
  return larger;
}
