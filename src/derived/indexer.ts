/**
 * Carries the tail into the tree: has the background make a run of each stretch that is full and visible, and adds it. What no generation holds,
 * because the tree is made again, goes the same way first.
 */
import { sha256 } from '../base/digest.ts';
import { CorruptionError, systemCode, VarveError } from '../base/errors.ts';
import type { Clock } from '../io/clock.ts';
import { WorkLoop } from '../kv/tree/work-loop.ts';
import { WaiterList } from '../collections/waiter-list.ts';
import type { EventLog } from '../log/event-log.ts';
import { RecordView } from '../log/record-view.ts';
import type { Counts } from './format.ts';
import type { Generation } from './generation.ts';
import type { IndexTree } from './index-tree.ts';

export interface IndexerParts {
  readonly clock: Clock;
  /** Events of a run of what is in no generation. */
  readonly runCount: number;
}

export interface IndexerEvents {
  tree(): IndexTree | undefined;
  /** The oldest generation that is full and not in the tree. */
  next(): Generation | undefined;
  /** Where the tail begins: below it the tree must answer. */
  covered(): number;
  /** Called in the turn in which a run shows. */
  installed(): void;
  failed(error: VarveError): void;
  /** The tree is damaged: it has to be made again. */
  damaged(error: VarveError): void;
}

/** What runs are made of: the log below a position that grows. */
interface Source {
  readonly log: EventLog;
  readonly visible: () => number;
}

export class Indexer {
  readonly #parts: IndexerParts;
  readonly #events: IndexerEvents;
  readonly #loop: WorkLoop;
  readonly #waiters = new WaiterList();
  #source: Source | undefined;
  #isPaused = false;

  constructor(parts: IndexerParts, events: IndexerEvents) {
    this.#parts = parts;
    this.#events = events;
    this.#loop = new WorkLoop(parts.clock, () => this.#work(), {
      failed: (error) => {
        this.#waiters.rejectAll(error);
        events.failed(error);
      },
      ended: () => this.#waiters.advance(0),
    });
  }

  get error(): VarveError | undefined {
    return this.#loop.error;
  }

  /** Something could be done now. */
  get hasWork(): boolean {
    return this.#next() !== undefined;
  }

  begin(log: EventLog, visible: () => number): void {
    this.#source = { log, visible };
    this.start();
  }

  start(): void {
    if (this.hasWork) {
      this.#loop.start();
    }
  }

  /** The tree is closed and another one put in its place: what fails meanwhile fails for that. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.start();
  }

  /** Resolves when nothing is left that could be done now; rejects when that can't be done. */
  async settled(): Promise<void> {
    if (!this.hasWork && !this.#loop.isRunning) {
      return;
    }
    const settled = this.#waiters.wait(0);
    this.#loop.startNow();
    await settled;
  }

  stop(): void {
    this.#loop.stop();
    this.#waiters.rejectAll(new VarveError('CLOSED', 'The store has been closed: open it again.'));
  }

  async whenOver(): Promise<void> {
    await this.#loop.whenOver();
  }

  async #work(): Promise<void> {
    for (let range = this.#next(); range !== undefined; range = this.#next()) {
      const tree = this.#events.tree()!;
      try {
        const { log } = this.#source!;
        await addRun(tree, log, range, () => this.#events.installed());
      } catch (error) {
        if (this.#isPaused || tree !== this.#events.tree()) {
          return;
        }
        const damage = isDamageOf(tree, error) ? error : lostFolder(tree, error);
        if (damage !== undefined) {
          this.#events.damaged(damage);
          return;
        }
        throw error;
      }
      this.#loop.succeeded();
    }
  }

  #next(): Stretch | undefined {
    const tree = this.#events.tree();
    const source = this.#source;
    if (tree === undefined || this.#isPaused || source === undefined) {
      return undefined;
    }
    const { covered: from } = tree;
    const tailStart = this.#events.covered();
    if (from < tailStart) {
      const wanted = from + this.#parts.runCount;
      return { from, to: wanted >= tailStart ? tailStart : source.log.borderAtOrBehind(wanted) };
    }
    const generation = this.#events.next();
    return generation !== undefined && generation.end <= source.visible()
      ? { from: generation.start, to: generation.end, counts: generation.counts }
      : undefined;
  }
}

/** A stretch of the log, from a border of commits to another. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
  /** Of what is in it, where that is known. */
  readonly counts?: Counts;
}

/** Makes a run of a stretch that is visible, and adds it to a tree that covers everything below it. */
export async function addRun(
  tree: IndexTree,
  log: EventLog,
  { from, to, counts }: Stretch,
  installed: () => void = () => {},
): Promise<void> {
  const made = await tree.makeRun(log.rangeOf(from, to));
  const record = new RecordView();
  await log.readRecordAsync(to - 1, record);
  const coverage = { position: to, mark: sha256(record.leafInput) };
  await tree.addRun(made, coverage, installed, counts);
}

/** The log's damage is another matter: no other tree could be made. */
export function isDamageOf(tree: IndexTree, error: unknown): error is VarveError {
  return (
    error instanceof VarveError &&
    error.code === 'CORRUPT' &&
    String(error.details?.['file']).startsWith(tree.tree.folder.directory)
  );
}

/** Nothing can be made in a folder that somebody has removed. */
function lostFolder({ tree }: IndexTree, error: unknown): VarveError | undefined {
  return systemCode(error) === 'ENOENT' && tree.isFolderGone
    ? new CorruptionError(tree.folder.directory, undefined, 'its folder of tables is gone', error)
    : undefined;
}
