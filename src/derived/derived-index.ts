/**
 * Answers about everything that ever got a position: streams' heads and events, keys, ids. What is new lies in the tail, the rest in the tree; the
 * indexer carries the one into the other. The log is the only authority: the tree is thrown away and made again whenever it is not what it
 * must be, and an answer that can't be had is an error or has to be waited for, never "not there".
 */
import { assert } from '../base/assert.ts';
import { CorruptionError, VarveError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../io/clock.ts';
import type { EventLog } from '../log/event-log.ts';
import type { RecordView } from '../log/record-view.ts';
import { Answers } from './answers.ts';
import { Axis, type Counts, type Head, NO_COUNTS } from './format.ts';
import type { IndexTree } from './index-tree.ts';
import { Indexer, isDamageOf } from './indexer.ts';
import { CACHE_SIZE_MIN, type IndexSettings } from './settings.ts';
import { sumOf, Tail } from './tail.ts';
import { SecretHash, type TextHash } from './text-hash.ts';
import { TreeHolder, unanswered } from './tree-holder.ts';

export interface IndexParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the hash of keys and ids: the tree's. */
  readonly secret: Uint8Array;
  /** Sets a tree aside that can't be used and opens an empty one in its place. Undefined where nothing may be written. */
  readonly replace: ((tree: IndexTree) => Promise<IndexTree>) | undefined;
}

export interface IndexEvents {
  /** There is more room in the tail, or a reason why there is none. */
  roomChanged(): void;
  /** The tree can't be written now; nothing is lost. */
  troubled(error: VarveError): void;
}

export class DerivedIndex {
  /** Of the stream that `look` has found: its events, and the position of the last one, or -1. */
  headCount = 0;
  headPosition = -1;
  /** Grows whenever something has left memory that the tree knows: answers that were read before don't count any more. */
  epoch = 0;
  readonly #parts: IndexParts;
  readonly #settings: IndexSettings;
  readonly #holder: TreeHolder;
  /** Nobody else's: it has what it was taken of last. */
  readonly #hash: TextHash;
  /** What it was taken of. */
  readonly #taken = { scope: '', text: '' };
  readonly #tail: Tail;
  readonly #indexer: Indexer;
  #events: IndexEvents | undefined;
  /** The tail takes no more. */
  #isFull = false;
  #hasIds: boolean;

  /** `tree`: covers the log up to where the tail begins. */
  constructor(parts: IndexParts, settings: IndexSettings, tree: IndexTree | undefined) {
    this.#parts = parts;
    this.#settings = settings;
    this.#holder = new TreeHolder(
      {
        clock: parts.clock,
        logger: parts.logger,
        replace: parts.replace,
        neededTo: () => this.#tail.covered,
        replacing: (isUnderWay) => (isUnderWay ? this.#indexer.pause() : this.#indexer.resume()),
        failed: (error) => this.#indexingFailed(error),
      },
      tree,
    );
    this.#hash = tree?.newHash() ?? new SecretHash(parts.secret);
    this.#hasIds = tree !== undefined && tree.counts.ids > 0;
    this.#tail = new Tail(
      tree?.covered ?? 0,
      {
        generationCount: settings.generationCount,
        keptSizeMax: settings.memorySize / 4,
      },
      () => {
        this.epoch += 1;
      },
    );
    this.#indexer = new Indexer(
      { clock: parts.clock, runCount: settings.runCount },
      {
        tree: () => this.#holder.current,
        next: () => this.#tail.oldestFrozen,
        covered: () => this.#tail.covered,
        installed: () => this.#installed(),
        failed: (error) => this.#indexingFailed(error),
        damaged: (error) => this.#holder.noteFailure(error),
      },
    );
  }

  /** Takes in the next record from the log, at open. Returns what is wrong with it, if that shows here. */
  replay(record: RecordView): string | undefined {
    const { position, revision, stream } = record;
    const tail = this.#tail;
    assert(position === tail.end, 'records are replayed in order');
    if (tail.find(stream) && tail.count !== revision) {
      return `the event at position ${position} has revision ${revision} where ${tail.count} belongs`;
    }
    tail.addEvent(stream, revision);
    this.#addTexts(position, record.idempotencyScope, record.idempotencyKey, record.suppliedId);
    if (record.commitIndex + 1 === record.commitCount) {
      this.commitEnded();
    }
    return undefined;
  }

  get secret(): Uint8Array {
    return this.#parts.secret;
  }

  /** A tree that was made since: an empty one, with the same secret, or the one that it was made with. */
  adopt(tree: IndexTree): void {
    this.#holder.current = tree;
  }

  /** There is no tree, and memory holds everything: one is made as soon as that can be done. */
  adoptLater(make: () => Promise<IndexTree>): void {
    this.#holder.makeLater(make);
  }

  /** From now on the tail gets into the tree by itself, as far as it is visible, if anything may be written. */
  start(log: EventLog, visible: () => number, events: IndexEvents): void {
    this.#events = events;
    if (!this.#settings.readOnly) {
      this.#indexer.begin(log, visible);
    }
  }

  /** More has become visible. */
  advanced(): void {
    if (this.#tail.oldestFrozen !== undefined) {
      this.#indexer.start();
    }
  }

  // Decisions: nothing is read, and what was given a position is known, durable or not.

  /** Bytes of the name of a stream that was written lately; undefined if it wasn't. */
  nameSizeOf(name: string): number | undefined {
    const number = this.#tail.findActive(name);
    return number === undefined ? undefined : this.#tail.active.streams.nameSizeOf(number);
  }

  /** Finds the head of a stream: `headCount` and `headPosition` tell. False if that has to be read (`fetchHead`). */
  look(name: string, answers?: Answers): boolean {
    const tail = this.#tail;
    if (tail.find(name)) {
      this.headCount = tail.count;
      this.headPosition = tail.lastPosition;
      return true;
    }
    const head = this.#headInTree(name, answers);
    if (head === 'cold') {
      return false;
    }
    this.headCount = head === undefined ? 0 : head.revision + 1;
    this.headPosition = head === undefined ? -1 : head.position;
    return true;
  }

  /** Positions where the text may stand, likely ones first. Empty: surely nowhere. Undefined: it has to be read (`fetchPositions`). */
  candidates(
    axis: typeof Axis.key | typeof Axis.id,
    scope: string,
    text: string,
    answers?: Answers,
  ): readonly number[] | undefined {
    this.#take(scope, text);
    const { low, high } = this.#hash;
    const inTail =
      axis === Axis.key
        ? this.#tail.addKeyPositions(low, high, undefined)
        : this.#tail.addIdPositions(low, high, undefined);
    const holder = this.#holder;
    if (holder.current?.isEmpty !== false && holder.isAnswering) {
      return inTail ?? NONE;
    }
    const found = this.#positionsInTree(axis, low, high, inTail);
    if (found !== 'cold') {
      return found;
    }
    const read = answers?.epoch === this.epoch ? answers.positionsOf(axis, low, high) : undefined;
    return read && (inTail === undefined ? read : [...inTail, ...read]);
  }

  /** False while the tail must not grow. Throws if there is no hope that it may soon. */
  get hasRoom(): boolean {
    if (!this.#isFull) {
      return true;
    }
    const { error } = this;
    if (error !== undefined) {
      throw noRoomInTail(error);
    }
    return false;
  }

  /** Adds the next event, of a stream that has `count` of them: its head was looked at before. */
  addEvent(name: string, count: number): void {
    this.#tail.addEvent(name, count);
  }

  addKey(scope: string, key: string, position: number): void {
    this.#take(scope, key);
    this.#tail.active.addKey(this.#hash.low, this.#hash.high, position);
  }

  addId(id: string, position: number): void {
    this.#hasIds = true;
    this.#take('', id);
    this.#tail.active.addId(this.#hash.low, this.#hash.high, position);
  }

  /** All events of a commit have been added. */
  commitEnded(): void {
    if (this.#tail.commitEnded()) {
      this.#account();
      this.#indexer.start();
    }
  }

  // What decisions wait for.

  /** Reads what `look` could not tell. Rejects with `UNAVAILABLE`, never with a wrong answer. */
  async fetchHead(name: string, answers: Answers): Promise<void> {
    await this.#fetch(async (tree) => {
      answers.heads.set(name, await tree.readHead(name));
    });
  }

  async fetchPositions(axis: number, scope: string, text: string, answers: Answers): Promise<void> {
    this.#take(scope, text);
    const { low, high } = this.#hash;
    await this.#fetch(async (tree) => {
      answers.setPositions(axis, low, high, await tree.readPositions(axis, low, high));
    });
  }

  newAnswers(): Answers {
    return new Answers(this.epoch);
  }

  // Reads.

  /** What a question about one key or id needs, read in place. Throws `UNAVAILABLE` while that can't be told. */
  answersInPlace(axis: number, scope: string, text: string): Answers {
    const answers = this.newAnswers();
    const tree = this.treeToRead;
    if (tree !== undefined) {
      this.#take(scope, text);
      const { low, high } = this.#hash;
      answers.setPositions(axis, low, high, tree.positionsInPlace(axis, low, high));
    }
    return answers;
  }

  /** Resolves when the tree answers, if it doesn't; rejects with `UNAVAILABLE` if that takes too long. */
  async whenAnswering(): Promise<void> {
    await this.#holder.whenAnswering();
  }

  get tail(): Tail {
    return this.#tail;
  }

  /** The tree to read from in place; undefined where everything is in the tail. Throws `UNAVAILABLE` while it is made again. */
  get treeToRead(): IndexTree | undefined {
    if (!this.#holder.isAnswering) {
      throw unanswered(this.#holder.failure);
    }
    return this.#holder.current;
  }

  /** What a read says that has met `error`: damage of the tree is no damage of the log, and the tree is made again for it. */
  asReadFailure(error: unknown): unknown {
    const tree = this.#holder.current;
    return tree !== undefined && isDamageOf(tree, error) && this.#holder.noteFailure(error)
      ? unanswered(error)
      : error;
  }

  /** Streams, keys and ids, in flight or not. */
  get counts(): Counts {
    return sumOf(this.#countsInTree(), this.#tail.counts);
  }

  /** Whether an id was ever supplied. */
  get hasIds(): boolean {
    return this.#hasIds;
  }

  get tree(): IndexTree | undefined {
    return this.#holder.current;
  }

  /** Why the tail doesn't get into the tree, if that is so. */
  get error(): VarveError | undefined {
    return this.#holder.failure ?? this.#indexer.error;
  }

  get isAnswering(): boolean {
    return this.#holder.isAnswering;
  }

  /** The tree's background has met damage. */
  noteDamage(error: VarveError): void {
    this.#holder.noteFailure(error);
  }

  /** A tree was found to say something else than the log. It is made again, unless that was done already. */
  noteWrong(tree: IndexTree, reason: string): void {
    if (tree === this.#holder.current) {
      const { directory } = tree.tree.folder;
      this.#holder.noteFailure(new CorruptionError(directory, undefined, reason));
    }
  }

  /** Resolves when everything visible that is full is in the tree, and nothing is left to merge. */
  async settled(): Promise<void> {
    if (this.#settings.readOnly) {
      return;
    }
    do {
      await this.#holder.whenReplaced();
      await this.#indexer.settled();
      await this.#holder.whenMerged();
    } while (this.#indexer.hasWork || !this.#holder.isAnswering);
    if (this.error !== undefined) {
      throw this.error;
    }
  }

  async close(): Promise<void> {
    this.#indexer.stop();
    // Order: a run under way is cancelled by the tree, or the indexer would wait for it.
    await Promise.all([this.#holder.close(), this.#indexer.whenOver()]);
  }

  #countsInTree(): Counts {
    const { isAnswering, current } = this.#holder;
    try {
      return isAnswering ? (current?.counts ?? NO_COUNTS) : NO_COUNTS;
    } catch (error) {
      this.#holder.noteFailure(error);
      return NO_COUNTS;
    }
  }

  /** Whoever adds a text has just looked for it. */
  #take(scope: string, text: string): void {
    if (text !== this.#taken.text || scope !== this.#taken.scope) {
      this.#hash.take(scope, text);
      this.#taken.scope = scope;
      this.#taken.text = text;
    }
  }

  #addTexts(position: number, scope: string, key: string, id: string): void {
    if (key !== '') {
      this.addKey(scope, key, position);
    }
    if (id !== '') {
      this.addId(id, position);
    }
  }

  #headInTree(name: string, answers: Answers | undefined): Head | 'cold' | undefined {
    const { isAnswering, current: tree } = this.#holder;
    if (!isAnswering) {
      return 'cold';
    }
    if (tree === undefined || tree.isEmpty) {
      return undefined;
    }
    let head: Head | 'absent' | 'cold';
    try {
      head = tree.headInMemory(name);
    } catch (error) {
      this.#holder.noteFailure(error);
      return 'cold';
    }
    if (head !== 'cold') {
      return head === 'absent' ? undefined : head;
    }
    const isRead = answers?.epoch === this.epoch && answers.heads.has(name);
    return isRead ? answers.heads.get(name) : 'cold';
  }

  #positionsInTree(
    axis: number,
    low: number,
    high: number,
    inTail: number[] | undefined,
  ): readonly number[] | 'cold' {
    if (!this.#holder.isAnswering) {
      return 'cold';
    }
    try {
      return this.#holder.current!.positionsInMemory(axis, low, high, inTail);
    } catch (error) {
      this.#holder.noteFailure(error);
      return 'cold';
    }
  }

  async #fetch(read: (tree: IndexTree) => Promise<void>): Promise<void> {
    const holder = this.#holder;
    await holder.whenAnswering();
    const tree = holder.current;
    if (tree === undefined) {
      return;
    }
    try {
      await read(tree);
    } catch (error) {
      if (!holder.isAnswering || tree !== holder.current || holder.noteFailure(error)) {
        // Whoever asks again finds the other tree.
        await holder.whenAnswering();
        return;
      }
      throw unanswered(error);
    }
  }

  #installed(): void {
    const tree = this.#holder.current!;
    const { oldestFrozen } = this.#tail;
    if (oldestFrozen !== undefined && tree.covered >= oldestFrozen.end) {
      this.#tail.coverOldest();
    }
    this.#account();
    this.#holder.grown();
    this.#events?.roomChanged();
  }

  #indexingFailed(error: VarveError): void {
    this.#parts.logger({
      level: 'warn',
      event: 'index-failed',
      message: 'Derived data can not be written now. Nothing is lost, and it is tried again.',
      details: { cause: error.cause ?? error },
    });
    this.#holder.troubled(error);
    if (this.#isFull) {
      this.#events?.troubled(noRoomInTail(error));
    }
  }

  /** Shares memory out: what tables need first, then the tail, and blocks get the rest. */
  #account(): void {
    const { memorySize } = this.#settings;
    const tail = this.#tail;
    const tree = this.#holder.current?.tree;
    const left = memorySize - (tree?.tableMemory ?? 0);
    tail.letGo(Math.max(memorySize / 8, Math.min(memorySize / 4, left / 2)));
    this.#isFull =
      !this.#settings.readOnly &&
      tail.oldestFrozen !== undefined &&
      tail.uncoveredSize > Math.max(memorySize / 4, left - CACHE_SIZE_MIN);
    tree?.resizeCache(Math.max(CACHE_SIZE_MIN, Math.min(memorySize / 4, left - tail.memorySize)));
  }
}

const NONE: readonly number[] = [];

function noRoomInTail(cause: VarveError): VarveError {
  return new VarveError(
    'UNAVAILABLE',
    'The index in memory is full, for it can not be written to disk: make room there and try again.',
    { cause, applied: 'no', details: cause.details },
  );
}
