/** The tree in use: waited for while it doesn't answer, and set aside and made again when it is found damaged. */
import { asVarveError, closedError, VarveError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { reached } from '../base/reached.ts';
import { WaiterList } from '../collections/waiter-list.ts';
import type { Clock } from '../io/clock.ts';
import { WorkLoop } from '../kv/tree/work-loop.ts';
import type { IndexTree } from './index-tree.ts';

export interface TreeHolderParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Sets a tree aside that can't be used and opens an empty one in its place, with the same secret. Undefined where nothing may be written. */
  readonly replace: ((tree: IndexTree) => Promise<IndexTree>) | undefined;
  /** Below it the tree must answer. */
  readonly neededTo: () => number;
  /** The tree is being replaced, or has been. */
  readonly replacing: (isUnderWay: boolean) => void;
  /** That can't be done now; it is tried again. */
  readonly failed: (error: VarveError) => void;
}

/** How long a question waits for a tree that is made again. */
const REBUILD_WAIT_MS = 10_000;

export class TreeHolder {
  /** Undefined where there is none: nothing is needed of it then. */
  current: IndexTree | undefined;
  readonly #parts: TreeHolderParts;
  readonly #waiters = new WaiterList();
  readonly #loop: WorkLoop;
  /** Found damaged, and still to be replaced. */
  #broken: IndexTree | undefined;
  /** Makes a tree where there is none. */
  #make: (() => Promise<IndexTree>) | undefined;
  /** Why there will be no other tree. */
  #failure: VarveError | undefined;
  #isClosing = false;

  constructor(parts: TreeHolderParts, tree: IndexTree | undefined) {
    this.#parts = parts;
    this.current = tree;
    this.#loop = new WorkLoop(parts.clock, () => this.#replace(), {
      failed: (error) => {
        this.#waiters.rejectAll(unanswered(error));
        parts.failed(error);
      },
      ended: () => {},
    });
  }

  /** It holds what it must. */
  get isAnswering(): boolean {
    const tree = this.current;
    return (
      this.#broken === undefined && (tree === undefined || tree.covered >= this.#parts.neededTo())
    );
  }

  get failure(): VarveError | undefined {
    return this.#failure ?? this.#loop.error;
  }

  /** Resolves when no other tree is to be put in its place; rejects if that can't be done now. */
  async whenReplaced(): Promise<void> {
    const isWanted = this.#broken !== undefined || this.#make !== undefined;
    if (isWanted && this.#failure === undefined) {
      this.#loop.startNow();
      await this.#loop.whenOver();
    }
    if (this.failure !== undefined) {
      throw this.failure;
    }
  }

  /** Resolves when nothing is left to merge, or when the tree is to be replaced. */
  async whenMerged(): Promise<void> {
    const tree = this.current;
    try {
      await tree?.tree.maintenance.settled();
    } catch (error) {
      const isReplaced = this.#broken !== undefined || tree !== this.current;
      if (!isReplaced && !this.noteFailure(error)) {
        throw error;
      }
    }
  }

  /** Resolves when it answers; rejects with `UNAVAILABLE` if that takes too long or can't be. */
  async whenAnswering(): Promise<void> {
    if (!this.isAnswering) {
      await this.#wait();
    }
  }

  /** It has grown. */
  grown(): void {
    if (this.isAnswering) {
      this.#waiters.advance(1);
    }
  }

  /** It does not grow now: whoever waits for it hears why. */
  troubled(error: VarveError): void {
    if (!this.isAnswering) {
      this.#waiters.rejectAll(unanswered(error));
    }
  }

  /** A lookup or a merge has failed. True if the tree is set aside for it. */
  noteFailure(error: unknown): boolean {
    const isDamage = error instanceof VarveError && error.code === 'CORRUPT';
    if (isDamage) {
      this.#setAside(error);
    }
    return isDamage;
  }

  /** There is none, and nothing is needed of one: it is made as soon as that can be done. */
  makeLater(make: () => Promise<IndexTree>): void {
    this.#make = make;
    this.#parts.replacing(true);
    this.#loop.start();
  }

  /** Questions that wait are refused; no other tree is put in its place any more. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#loop.stop();
    this.#waiters.rejectAll(closedError());
    await this.#loop.whenOver();
    await this.current?.tree.close();
  }

  #setAside(error: VarveError): void {
    const tree = this.current;
    if (tree === undefined || this.#broken !== undefined || this.#isClosing) {
      return;
    }
    reached('set a tree of derived data aside');
    this.#parts.logger({
      level: 'warn',
      event: 'index-damaged',
      message: 'Derived data is damaged and is made again from the log. No event is lost.',
      details: { cause: error },
    });
    this.#broken = tree;
    if (this.#parts.replace === undefined) {
      // Nothing answers from now on but memory.
      this.#failure = error;
      this.#waiters.rejectAll(unanswered(error));
      return;
    }
    this.#parts.replacing(true);
    this.#loop.start();
  }

  async #replace(): Promise<void> {
    const broken = this.#broken;
    if (this.#make !== undefined) {
      this.current = await this.#make();
      this.#make = undefined;
    } else if (broken === undefined) {
      return;
    } else {
      this.current = await this.#parts.replace!(broken);
      this.#broken = undefined;
    }
    this.#loop.succeeded();
    this.#parts.replacing(false);
    this.grown();
  }

  #wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      // While it is tried again there is hope.
      const failure = this.#loop.isRunning ? undefined : this.failure;
      if (this.#isClosing || failure !== undefined) {
        reject(this.#isClosing ? closedError() : unanswered(failure));
        return;
      }
      const timer = this.#parts.clock.schedule(REBUILD_WAIT_MS, () => {
        takeOut();
        reject(unanswered(undefined));
      });
      const takeOut = this.#waiters.add(
        1,
        () => {
          timer.cancel();
          resolve();
        },
        (error) => {
          timer.cancel();
          reject(error);
        },
      );
    });
  }
}

/** What a question hears that can't be answered. */
export function unanswered(cause: unknown): VarveError {
  return cause === undefined
    ? new VarveError(
        'UNAVAILABLE',
        'The index is being made again from the log, and the answer is not there yet: try again later.',
        { applied: 'no' },
      )
    : new VarveError(
        'UNAVAILABLE',
        `The index can not be asked: ${asVarveError(cause, 'it can not be read').message}`,
        { cause, applied: 'no' },
      );
}
