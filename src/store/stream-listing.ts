import { checkRange, rejectUnknownNames } from '../base/arguments.ts';
import type { Clock } from '../io/clock.ts';
import type { DerivedIndex } from '../derived/derived-index.ts';
import { type NamePlace, namesFrom } from '../event-index/stream-names.ts';
import { StreamReader } from '../event-index/stream-reader.ts';
import type { StreamEntry, StreamsOptions } from './contract.ts';
import { compareTexts } from '../base/compare-texts.ts';
import { VarveError } from '../base/errors.ts';

/** Names between two turns of others. */
const PAGE_COUNT = 256;

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

/** Stream names in order, with what is visible of each. */
export class StreamListing {
  readonly #index: DerivedIndex;

  constructor(index: DerivedIndex) {
    this.#index = index;
  }

  /** Streams with a visible event. */
  count(visible: number): number {
    return this.#index.counts.streams - this.#index.tail.streamsBeginningAt(visible);
  }

  async *list(
    plan: ListingPlan,
    clock: Clock,
    checkReadable: () => void,
  ): AsyncGenerator<StreamEntry, void, undefined> {
    const { prefix, delimiter, limit } = plan;
    let place = startOf(plan);
    let count = 0;
    while (count < limit) {
      await this.#index.whenAnswering();
      checkReadable();
      // With a delimiter the next entry may be far away.
      const wanted = delimiter === undefined ? Math.min(PAGE_COUNT, limit - count) : 1;
      const names = this.#namesFrom(place, wanted);
      for (const name of names) {
        if (!name.startsWith(prefix)) {
          return;
        }
        const entry = this.#entryOf(name, plan);
        place =
          entry?.kind === 'prefix'
            ? { text: entry.prefix, is: 'behind all with it' }
            : { text: name, is: 'behind' };
        if (entry !== undefined) {
          count += 1;
          yield entry;
          checkReadable();
        }
      }
      if (names.length < wanted) {
        return;
      }
      await clock.pause();
    }
  }

  #namesFrom(place: NamePlace, countMax: number): readonly string[] {
    return this.#reading(() =>
      namesFrom(this.#index.tail, this.#index.treeToRead, place, countMax),
    );
  }

  #entryOf(name: string, { prefix, delimiter, visible }: ListingPlan): StreamEntry | undefined {
    if (name.startsWith('$')) {
      return undefined;
    }
    const stream = new StreamReader(this.#index, name);
    const count = this.#reading(() => stream.countBelow(visible));
    if (count === 0) {
      return undefined;
    }
    const cut = delimiter === undefined ? -1 : name.indexOf(delimiter, prefix.length);
    if (cut >= 0) {
      return { kind: 'prefix', prefix: name.slice(0, cut + delimiter!.length) };
    }
    const revision = count - 1;
    const position = this.#reading(() => stream.positionAt(revision, true));
    return { kind: 'stream', stream: name, revision, position };
  }

  #reading<Result>(read: () => Result): Result {
    try {
      return read();
    } catch (error) {
      throw this.#index.asReadFailure(error);
    }
  }
}

/** Where a listing begins: at its prefix, or behind `after` and everything that is rolled up into it. */
function startOf({ prefix, delimiter, after }: ListingPlan): NamePlace {
  if (after === undefined || compareTexts(after, prefix) < 0) {
    return { text: prefix, is: 'at' };
  }
  const isRollUp =
    delimiter !== undefined && after.length > prefix.length && after.endsWith(delimiter);
  return { text: after, is: isRollUp ? 'behind all with it' : 'behind' };
}
