import { firstIndexWhere } from '../base/binary-search.ts';
import { checkRange, rejectUnknownNames } from '../base/arguments.ts';
import type { Clock } from '../io/clock.ts';
import type { StreamIndex } from '../event-index/contract.ts';
import type { StreamEntry, StreamsOptions } from './contract.ts';
import { compareNames } from './names.ts';
import { VarveError } from '../base/errors.ts';

const PAUSE_COUNT = 4_096;

const optionNames = new Set(['prefix', 'delimiter', 'after', 'limit']);

/** A listing, checked. */
export interface ListingPlan {
  readonly prefix: string;
  readonly delimiter: string | undefined;
  readonly after: string | undefined;
  readonly limit: number;
  /** Only what lies below this position. */
  readonly visible: number;
}

/** Throws `INVALID_ARGUMENT`. */
export function planListing(options: StreamsOptions, visible: number): ListingPlan {
  rejectUnknownNames(options, optionNames, 'option');
  const { prefix = '', delimiter, after, limit = Number.MAX_SAFE_INTEGER } = options;
  checkRange('limit', limit, 0, Number.MAX_SAFE_INTEGER);
  for (const [name, text] of Object.entries({ prefix, delimiter, after })) {
    if (text !== undefined && typeof text !== 'string') {
      throw new VarveError('INVALID_ARGUMENT', `${name} must be a string.`);
    }
  }
  if (delimiter === '') {
    throw new VarveError('INVALID_ARGUMENT', 'The delimiter must not be empty.');
  }
  return { prefix, delimiter, after, limit, visible };
}

/** Stream names in order. The order is made when it is asked for, and kept until there are new streams. */
export class StreamListing {
  readonly #streams: StreamIndex;
  #sorted: readonly string[] = [];

  constructor(streams: StreamIndex) {
    this.#streams = streams;
  }

  /** Streams with a visible event. */
  count(visible: number): number {
    const { streamCount } = this.#streams;
    let count = streamCount;
    // Streams get their numbers in the order of their first events.
    while (count > 0 && this.#streams.positionAt(count - 1, 0) >= visible) {
      count -= 1;
    }
    return count;
  }

  async *list(
    { prefix, delimiter, after, limit, visible }: ListingPlan,
    clock: Clock,
    checkReadable: () => void,
  ): AsyncGenerator<StreamEntry, void, undefined> {
    checkReadable();
    const names = this.#inOrder();
    let index = firstAtOrBehind(names, prefix);
    if (after !== undefined) {
      index = Math.max(index, firstBehind(names, after, delimiter, prefix));
    }
    let count = 0;
    while (count < limit && index < names.length && names[index]!.startsWith(prefix)) {
      const name = names[index]!;
      const entry = this.#entryOf(name, prefix, delimiter, visible);
      index = entry?.kind === 'prefix' ? behindPrefix(names, index, entry.prefix) : index + 1;
      if (entry !== undefined) {
        count += 1;
        yield entry;
      }
      if (index % PAUSE_COUNT === 0) {
        await clock.pause();
      }
      checkReadable();
    }
  }

  #entryOf(
    name: string,
    prefix: string,
    delimiter: string | undefined,
    visible: number,
  ): StreamEntry | undefined {
    const number = this.#streams.find(name)!;
    if (name.startsWith('$') || this.#streams.positionAt(number, 0) >= visible) {
      return undefined;
    }
    const cut = delimiter === undefined ? -1 : name.indexOf(delimiter, prefix.length);
    if (cut >= 0) {
      return { kind: 'prefix', prefix: name.slice(0, cut + delimiter!.length) };
    }
    const revision = this.#streams.countBelow(number, visible) - 1;
    const position = this.#streams.positionAt(number, revision);
    return { kind: 'stream', stream: name, revision, position };
  }

  #inOrder(): readonly string[] {
    const { streamCount } = this.#streams;
    if (this.#sorted.length !== streamCount) {
      const known = this.#sorted.length;
      const added = Array.from({ length: streamCount - known }, (_, index) =>
        this.#streams.nameOf(known + index),
      );
      // A new array: listings under way go on with the one they have.
      this.#sorted = merge(this.#sorted, added.sort(compareNames));
    }
    return this.#sorted;
  }
}

/** Index of the first name that is not below `target`. */
function firstAtOrBehind(names: readonly string[], target: string): number {
  return firstIndexWhere(names.length, (index) => compareNames(names[index]!, target) >= 0);
}

/** Index behind `after`, and behind everything that is rolled up into it if it is a prefix of a listing. */
function firstBehind(
  names: readonly string[],
  after: string,
  delimiter: string | undefined,
  prefix: string,
): number {
  const index = firstAtOrBehind(names, after);
  const isRollUp =
    delimiter !== undefined && after.length > prefix.length && after.endsWith(delimiter);
  if (isRollUp) {
    return behindPrefix(names, index, after);
  }
  return names[index] === after ? index + 1 : index;
}

/** Index of the first name from `index` on that does not begin with `prefix`: names with one prefix stand together. */
function behindPrefix(names: readonly string[], index: number, prefix: string): number {
  const isBehind = (offset: number): boolean => !names[index + offset]!.startsWith(prefix);
  return index + firstIndexWhere(names.length - index, isBehind);
}

function merge(left: readonly string[], right: readonly string[]): string[] {
  const merged: string[] = [];
  let index = 0;
  for (const name of right) {
    const end = firstAtOrBehind(left, name);
    while (index < end) {
      merged.push(left[index]!);
      index += 1;
    }
    merged.push(name);
  }
  while (index < left.length) {
    merged.push(left[index]!);
    index += 1;
  }
  return merged;
}
