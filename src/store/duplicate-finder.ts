/**
 * Has this commit been made before? Answers from the indexes' candidates, each confirmed against the log, in flight or on
 * disk. "Same content" is decided here, on a hit, byte by byte, and structurally where the bytes differ.
 */
import { isDeepStrictEqual } from 'node:util';
import { assert } from '../base/assert.ts';
import { viewOf } from '../base/integers.ts';
import { VarveError } from '../base/errors.ts';
import { isSameJson } from '../base/same-json.ts';
import type { Answers } from '../derived/answers.ts';
import type { DerivedIndex } from '../derived/derived-index.ts';
import { Axis } from '../derived/format.ts';
import { notInMemory } from '../idempotency/not-in-memory.ts';
import type { Journal } from '../journal/journal.ts';
import type { CodecRegistry } from '../log/codecs.ts';
import { eventIdOf, parseStored, plainPayload } from '../log/event-decoder.ts';
import { parseEventId } from '../log/event-id.ts';
import type { EventLog } from '../log/event-log.ts';
import { ContentType } from '../log/format.ts';
import type { FieldsOf } from '../log/record-fields.ts';
import { RecordView } from '../log/record-view.ts';
import type { CommitKey, CommitResult, CommittedStream } from './contract.ts';
import type { PreparedCommit } from './prepared-commit.ts';

/** What a repeat of a commit is answered, as soon as `restsOn` is durable. */
export interface FoundCommit {
  readonly restsOn: number;
  readonly result: CommitResult;
}

export type DuplicateAnswer =
  | FoundCommit
  | { readonly restsOn: number; readonly result: undefined; readonly conflict: VarveError };

/** An event id of a commit that was used before, and where. In the details of a conflict. */
interface RepeatedId {
  readonly id: string;
  readonly position: number;
}

interface SortedIds {
  readonly repeatedIds: readonly RepeatedId[];
  readonly newIds: readonly string[];
  /** Commits that the repeated ones are of. */
  readonly commitCount: number;
}

/** What led to an earlier commit. */
interface Hit {
  /** In words. */
  readonly by: string;
  readonly isByKey: boolean;
}

/** Events that count as new. */
const RECENT_COUNT = 65_536;

export class DuplicateFinder {
  readonly #log: EventLog;
  readonly #index: DerivedIndex;
  readonly #codecs: CodecRegistry;
  readonly #record = new RecordView();
  #journal: Journal | undefined;
  /** What was read for the question at hand. */
  #answers: Answers | undefined;

  constructor(log: EventLog, index: DerivedIndex, codecs: CodecRegistry) {
    this.#log = log;
    this.#index = index;
    this.#codecs = codecs;
  }

  /** Events in flight are looked up there. */
  attach(journal: Journal): void {
    this.#journal = journal;
  }

  /** Positions given: ids in flight count. */
  get #appended(): number {
    return this.#journal?.appended ?? 0;
  }

  /**
   * Undefined if neither the key nor any of the ids was ever used. Throws if that can't be told, and `notInMemory` if something has to be read
   * first: then `answers` (`ColdReads.answersFor`) have it.
   */
  find(commit: PreparedCommit, answers?: Answers): DuplicateAnswer | undefined {
    this.#answers = answers;
    const { idempotencyScope, idempotencyKey } = commit;
    if (idempotencyKey !== '') {
      const position = this.#findKey(idempotencyScope, idempotencyKey);
      if (position !== undefined) {
        return this.#compare(commit, position, {
          by: describeKey(idempotencyScope, idempotencyKey),
          isByKey: true,
        });
      }
    }
    for (let index = 0; index < commit.eventCount; index += 1) {
      const id = commit.suppliedIdOf(index);
      const position = id === '' ? undefined : this.#findId(id, this.#appended);
      if (position !== undefined) {
        const firstPosition = position - this.#record.commitIndex;
        return this.#compare(commit, firstPosition, {
          by: `event id ${JSON.stringify(id)}`,
          isByKey: false,
        });
      }
    }
    return undefined;
  }

  /** The commit with this key, if there is one. Throws as `find`. */
  findCommit(key: CommitKey, answers?: Answers): FoundCommit | undefined {
    this.#answers = answers;
    const { idempotencyScope = '', idempotencyKey } = key;
    const position = this.#findKey(idempotencyScope, idempotencyKey);
    return position === undefined ? undefined : this.#resultOf(position);
  }

  /** First position of the commit with this key of this scope. */
  #findKey(scope: string, key: string): number | undefined {
    const candidates = this.#index.candidates(Axis.key, scope, key, this.#answers);
    if (candidates === undefined) {
      throw notInMemory;
    }
    if (candidates.length === 0) {
      return undefined;
    }
    return candidates.find((position) => {
      const record = this.#readCandidate(position);
      return record.idempotencyKey === key && record.idempotencyScope === scope;
    });
  }

  /** Position of the event with this id, of those below a position; in flight or not. Throws as `find`. */
  findId(id: string, below: number, answers?: Answers): number | undefined {
    this.#answers = answers;
    return this.#findId(id, below);
  }

  #findId(id: string, below: number): number | undefined {
    const candidates = this.#index.candidates(Axis.id, '', id, this.#answers);
    if (candidates === undefined) {
      throw notInMemory;
    }
    const generated = parseEventId(id);
    const all = generated === undefined ? candidates : [generated.position, ...candidates];
    return all.find((position) => {
      if (position >= below) {
        return false;
      }
      this.#readCandidate(position);
      return eventIdOf(this.#record) === id;
    });
  }

  /** The same for a record that need not be what is looked for: one that is old has been read before, without blocking. */
  #readCandidate(position: number): RecordView {
    if (this.#answers === undefined && this.isOld(position)) {
      throw notInMemory;
    }
    return this.readRecord(position);
  }

  /** The newest records are in the system's memory: they were written just now. */
  isOld(position: number): boolean {
    return position < (this.#journal?.durable ?? 0) - RECENT_COUNT;
  }

  /** Points the shared record to a position on disk or in flight; valid until the next call. */
  readRecord(position: number): RecordView {
    const journal = this.#journal;
    assert(journal !== undefined, 'the journal is attached before the first lookup');
    if (position < journal.durable) {
      this.#log.readRecord(position, this.#record);
      return this.#record;
    }
    const frame = journal.pendingAt(position);
    if (frame === undefined) {
      throw new VarveError(
        'POISONED',
        'The answer depends on an append that was lost when writing failed: close the store and open it again.',
        { cause: journal.failure?.cause, applied: 'unknown' },
      );
    }
    const { bytes, view } = journal.frames;
    const { bodyStart, bodySize } = frame;
    const at = bodyStart + this.#log.offsetInMemory(position) - frame.fileOffset;
    const problem = this.#record.open(bytes, view, at, bodyStart + bodySize);
    assert(problem === undefined, 'a record in flight is well formed');
    return this.#record;
  }

  #compare(commit: PreparedCommit, firstPosition: number, how: Hit): DuplicateAnswer {
    const count = this.readRecord(firstPosition).commitCount;
    const differs = this.#findDifference(commit, firstPosition, count);
    return differs === undefined
      ? this.#resultOf(firstPosition)
      : this.#conflict(commit, firstPosition, { ...how, count, differs });
  }

  #conflict(
    commit: PreparedCommit,
    firstPosition: number,
    { by, isByKey, count, differs }: Hit & { readonly count: number; readonly differs: string },
  ): DuplicateAnswer {
    const { repeatedIds, newIds, commitCount } = this.#sortIds(commit);
    const lastPosition = firstPosition + count - 1;
    // Whoever is told of these events is told of what is durable.
    const restsOn = repeatedIds.reduce(
      (highest, { position }) => Math.max(highest, position),
      lastPosition,
    );
    const isMixed = !isByKey && (newIds.length > 0 || commitCount > 1);
    const message = isMixed
      ? describeMixed(repeatedIds, newIds)
      : `The ${by} was used for another commit, at position ${firstPosition} (${differs}): use a new one for new content.`;
    const conflict = new VarveError('IDEMPOTENCY_CONFLICT', message, {
      applied: 'no',
      details: { firstPosition, lastPosition, repeatedIds, newIds },
    });
    return { restsOn, result: undefined, conflict };
  }

  /** Which of the ids that a commit brings along were used before, and in how many commits. */
  #sortIds(commit: PreparedCommit): SortedIds {
    const repeatedIds: RepeatedId[] = [];
    const newIds: string[] = [];
    const commits = new Set<number>();
    for (let index = 0; index < commit.eventCount; index += 1) {
      const id = commit.suppliedIdOf(index);
      const position = id === '' ? undefined : this.#findId(id, this.#appended);
      if (position !== undefined) {
        repeatedIds.push({ id, position });
        // The record that confirmed it is at hand.
        commits.add(position - this.#record.commitIndex);
      } else if (id !== '') {
        newIds.push(id);
      }
    }
    return { repeatedIds, newIds, commitCount: commits.size };
  }

  #resultOf(firstPosition: number): FoundCommit {
    const { commitCount: count, time } = this.readRecord(firstPosition);
    const lastPosition = firstPosition + count - 1;
    const result: CommitResult = {
      outcome: 'duplicate',
      firstPosition,
      lastPosition,
      time,
      streams: this.#revisionsOf(firstPosition, count),
    };
    return { restsOn: lastPosition, result };
  }

  #findDifference(
    commit: PreparedCommit,
    firstPosition: number,
    count: number,
  ): string | undefined {
    for (const [name, what] of commitTexts) {
      if (this.#record[name] !== commit[name]) {
        return `its ${what} is another one`;
      }
    }
    if (count !== commit.eventCount) {
      return `it has ${count} events, not ${commit.eventCount}`;
    }
    const given = new RecordView();
    const bytes = Buffer.allocUnsafe(commit.bodySize);
    const view = viewOf(bytes);
    let at = 0;
    for (let index = 0; index < count; index += 1) {
      const end = commit.putRecord(index, bytes, view, at);
      given.openDraft(bytes, view, at, end);
      const what = this.#differenceOf(given, this.readRecord(firstPosition + index));
      if (what !== undefined) {
        return `event ${index} has another ${what}`;
      }
      at = end;
    }
    return undefined;
  }

  #differenceOf(given: RecordView, stored: RecordView): string | undefined {
    for (const { what, isSame } of comparisons) {
      if (!isSame(given, stored)) {
        return what;
      }
    }
    // What was erased can't be compared, and must not be guessed at.
    return stored.isErased || this.#samePayload(given, stored) ? undefined : 'content';
  }

  #samePayload(content: RecordView, record: RecordView): boolean {
    const stored = plainPayload(record, this.#codecs);
    const decoded = this.#codecs.decode(content.codec, content.payload, content.plainSize);
    const given = Buffer.from(decoded.buffer, decoded.byteOffset, decoded.length);
    const sameShape =
      record.contentType === content.contentType &&
      record.metadataSize > 0 === content.metadataSize > 0;
    if (!sameShape) {
      return false;
    }
    if (record.metadataSize === content.metadataSize && stored.equals(given)) {
      return true;
    }
    const storedDataSize = stored.length - record.metadataSize;
    const givenDataSize = given.length - content.metadataSize;
    const storedData = stored.subarray(0, storedDataSize);
    const givenData = given.subarray(0, givenDataSize);
    const sameData =
      storedData.equals(givenData) ||
      (content.contentType === ContentType.json && sameJson(record, storedData, givenData));
    return (
      sameData && sameJson(record, stored.subarray(storedDataSize), given.subarray(givenDataSize))
    );
  }

  #revisionsOf(firstPosition: number, count: number): CommitResult['streams'] {
    const found = new Map<string, CommittedStream>();
    for (let position = firstPosition; position < firstPosition + count; position += 1) {
      const { stream, revision } = this.readRecord(position);
      const firstRevision = found.get(stream)?.firstRevision ?? revision;
      found.set(stream, { stream, firstRevision, revision });
    }
    return [...found.values()];
  }
}

/** What a repeat must say again of its commit, in the order in which differences are told. */
const commitTexts = Object.entries({
  idempotencyKey: 'idempotency key',
  idempotencyScope: 'idempotency scope',
} satisfies Record<FieldsOf<'commit'>, string>) as [FieldsOf<'commit'>, string][];

function describeKey(scope: string, key: string): string {
  const inScope = scope === '' ? '' : ` of the scope ${JSON.stringify(scope)}`;
  return `idempotency key ${JSON.stringify(key)}${inScope}`;
}

/** Ids that a message names; its details have all. */
const NAMED_COUNT_MAX = 3;

function describeMixed(repeatedIds: readonly RepeatedId[], newIds: readonly string[]): string {
  const repeated = repeatedIds.map(({ id, position }) => `${JSON.stringify(id)} at ${position}`);
  const what =
    newIds.length === 0
      ? `repeats event ids of more than one earlier commit (${listOf(repeated)})`
      : `repeats event ids of earlier commits (${listOf(repeated)}) and has new ones (${listOf(newIds.map((id) => JSON.stringify(id)))})`;
  return `The commit ${what}: repeat a commit as it was, or give all its events new ids.`;
}

function listOf(names: readonly string[]): string {
  const rest = names.length - NAMED_COUNT_MAX;
  const named = names.slice(0, NAMED_COUNT_MAX).join(', ');
  return rest > 0 ? `${named} and ${rest} more` : named;
}

interface Comparison {
  /** The field's name in a message. */
  readonly what: string;
  readonly isSame: (given: RecordView, stored: RecordView) => boolean;
}

/** All that a repeat must say again, but for its payload, in the order in which differences are told. */
const comparisons = Object.values({
  stream: { what: 'stream', isSame: (given, stored) => given.stream === stored.stream },
  type: { what: 'type', isSame: (given, stored) => given.type === stored.type },
  suppliedId: {
    what: 'id',
    isSame: ({ suppliedId }, stored) => suppliedId === '' || eventIdOf(stored) === suppliedId,
  },
  correlationId: {
    what: 'correlation',
    isSame: (given, stored) => given.correlationId === stored.correlationId,
  },
  causationId: {
    what: 'causation',
    isSame: (given, stored) => given.causationId === stored.causationId,
  },
  occurredAt: {
    what: 'time of occurrence',
    isSame: (given, stored) => given.occurredAt === stored.occurredAt,
  },
  tags: {
    what: 'list of tags',
    isSame: (given, stored) => isDeepStrictEqual(given.tags, stored.tags),
  },
} satisfies Record<FieldsOf<'text' | 'fact'>, Comparison>);

/** The order of keys makes no difference, everything else does. */
function sameJson(record: RecordView, stored: Buffer, given: Buffer): boolean {
  if (stored.equals(given)) {
    return true;
  }
  if (stored.length === 0 || given.length === 0) {
    return false;
  }
  const storedValue = parseStored(record, stored, 0, stored.length);
  return isSameJson(storedValue, JSON.parse(given.toString('utf8')));
}
