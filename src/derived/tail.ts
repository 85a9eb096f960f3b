/**
 * The newest part of the log in memory, as generations of some ten thousand events. Only the last one grows. From the oldest on they get into the
 * tree; one that is there lets go of its keys, and is kept for its streams as long as memory allows: streams that were written lately are those
 * that are written next. What is found in a newer generation is newer, so whoever looks goes from the newest to the oldest.
 *
 *   kept  kept │ frozen  frozen  frozen │ active
 *          covered
 */
import { firstIndexWhere } from '../base/binary-search.ts';
import { assert } from '../base/assert.ts';
import { type Counts, NO_COUNTS } from './format.ts';
import { Generation } from './generation.ts';

export interface TailSettings {
  /** Events after which a generation is frozen, at the end of a commit. */
  readonly generationCount: number;
  /** Bytes that generations which the tree covers may take together with the others. */
  readonly keptSizeMax: number;
}

export class Tail {
  /** Of the stream that `find` has found: events, and the position of the last one. */
  count = 0;
  lastPosition = -1;
  readonly #settings: TailSettings;
  /** From the oldest to the newest, without a gap. */
  #generations: Generation[];
  #active: Generation;
  /** How many of the oldest the tree covers. */
  #coveredCount = 0;
  /** Of those that are frozen, or kept. */
  #frozenSize = 0;
  readonly #forgot: () => void;
  /** Looked for last in the active generation, and found there, or not: an append asks three times. */
  #lastName = '';
  #lastNumber: number | undefined;

  /** `start`: what the tree covers, or will before anything is asked. `forgot` is called whenever something is let go of that the tree knows. */
  constructor(start: number, settings: TailSettings, forgot: () => void) {
    this.#settings = settings;
    this.#forgot = forgot;
    this.#active = new Generation(start);
    this.#generations = [this.#active];
  }

  /** The first position that isn't in the tree. */
  get covered(): number {
    return this.#generations[this.#coveredCount]!.start;
  }

  get end(): number {
    return this.#active.end;
  }

  /** Takes appends. */
  get active(): Generation {
    return this.#active;
  }

  /** The oldest one that is full and not in the tree. */
  get oldestFrozen(): Generation | undefined {
    const oldest = this.#generations[this.#coveredCount]!;
    return oldest === this.#active ? undefined : oldest;
  }

  /** Bytes of what is not in the tree. */
  get uncoveredSize(): number {
    let size = 0;
    for (let index = this.#coveredCount; index < this.#generations.length; index += 1) {
      size += this.#generations[index]!.memorySize;
    }
    return size;
  }

  get memorySize(): number {
    return this.#frozenSize + this.#active.memorySize;
  }

  /** Counts of what is not in the tree. */
  get counts(): Counts {
    return this.#generations
      .slice(this.#coveredCount)
      .map(({ counts }) => counts)
      .reduce(sumOf, NO_COUNTS);
  }

  /** Newest first. */
  *newestFirst(): Generator<Generation, void, undefined> {
    for (let index = this.#generations.length - 1; index >= 0; index -= 1) {
      yield this.#generations[index]!;
    }
  }

  /** Names of streams in each generation, in order. */
  sortedNames(): readonly (readonly string[])[] {
    return this.#generations.map(({ streams }) => streams.sortedNames());
  }

  /** Streams whose first event is not in the tree and at or above `position`. */
  streamsBeginningAt(position: number): number {
    let count = 0;
    for (let index = this.#generations.length - 1; index >= this.#coveredCount; index -= 1) {
      const { firsts, start } = this.#generations[index]!;
      const before = firstIndexWhere(firsts.length, (nth) => start + firsts[nth]! >= position);
      count += firsts.length - before;
      if (before > 0) {
        break;
      }
    }
    return count;
  }

  /** The stream's number in the active generation, if it has one there. */
  findActive(name: string): number | undefined {
    if (name !== this.#lastName) {
      this.#lastName = name;
      this.#lastNumber = this.#active.streams.find(name);
    }
    return this.#lastNumber;
  }

  /** Adds the next event. `count`: how many the stream has. */
  addEvent(name: string, count: number): void {
    let number = this.findActive(name);
    if (number === undefined) {
      number = this.#active.streams.add(name, count);
      this.#lastNumber = number;
    }
    this.#active.addEvent(number);
  }

  /** Finds a stream's events, if any is here: `count` and `lastPosition` tell. */
  find(name: string): boolean {
    const active = this.findActive(name);
    if (active !== undefined) {
      const { streams, start } = this.#active;
      this.count = streams.baseOf(active) + streams.countOf(active);
      this.lastPosition = start + streams.lastOf(active);
      return true;
    }
    const generations = this.#generations;
    for (let index = generations.length - 2; index >= 0; index -= 1) {
      const { streams, start } = generations[index]!;
      const number = streams.find(name);
      if (number !== undefined) {
        this.count = streams.baseOf(number) + streams.countOf(number);
        this.lastPosition = start + streams.lastOf(number);
        return true;
      }
    }
    return false;
  }

  /** Adds positions where a key with this hash may stand, the newest first, to `into` or a new list. Of those in the tree none is named. */
  addKeyPositions(low: number, high: number, into: number[] | undefined): number[] | undefined {
    return this.#addPositions('keys', low, high, into);
  }

  addIdPositions(low: number, high: number, into: number[] | undefined): number[] | undefined {
    return this.#addPositions('ids', low, high, into);
  }

  #addPositions(
    of: 'keys' | 'ids',
    low: number,
    high: number,
    into: number[] | undefined,
  ): number[] | undefined {
    const generations = this.#generations;
    let found = into;
    for (let index = generations.length - 1; index >= this.#coveredCount; index -= 1) {
      const generation = generations[index]!;
      const table = generation[of]!;
      for (let slot = table.find(low, high); slot >= 0; slot = table.find(low, high, slot)) {
        (found ??= []).push(generation.start + table.positionAt(slot));
      }
    }
    return found;
  }

  /** A commit has ended: a generation that is full is frozen. True if one was. */
  commitEnded(): boolean {
    if (this.#active.eventCount < this.#settings.generationCount) {
      return false;
    }
    this.#frozenSize += this.#active.memorySize;
    this.#active = new Generation(this.#active.end);
    this.#lastName = '';
    this.#lastNumber = undefined;
    this.#generations.push(this.#active);
    return true;
  }

  /** The oldest frozen generation is in the tree. */
  coverOldest(): void {
    const generation = this.oldestFrozen;
    assert(generation !== undefined, 'only what is full gets into the tree');
    this.#frozenSize -= generation.memorySize;
    generation.dropHashes();
    this.#frozenSize += generation.memorySize;
    this.#coveredCount += 1;
    this.#forgot();
    this.letGo();
  }

  /** Lets go of the oldest generations that the tree covers, down to the size that may be kept. */
  letGo(sizeMax: number = this.#settings.keptSizeMax): void {
    while (this.#coveredCount > 0 && this.memorySize > sizeMax) {
      this.#frozenSize -= this.#generations[0]!.memorySize;
      this.#generations = this.#generations.slice(1);
      this.#coveredCount -= 1;
      this.#forgot();
    }
  }
}

export function sumOf(one: Counts, other: Counts): Counts {
  return {
    streams: one.streams + other.streams,
    keys: one.keys + other.keys,
    ids: one.ids + other.ids,
  };
}
