/** The tree in use: waited for while it doesn't answer, and set aside and made again when it is found damaged. */
import { asVarveError, closedError, VarveError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { reached } from '../base/reached.ts';
import { WaiterList } from '../collections/waiter-list.ts';
import type { Clock } from '../io/clock.ts';
import type { IndexTree } from './index-tree.ts';

export interface TreeHolderParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Sets a tree aside that can't be used and opens an empty one in its place, with the same secret. */
  readonly replace: (tree: IndexTree) => Promise<IndexTree>;
  /** Below it the tree must answer. */
  readonly neededTo: () => number;
  /** The tree is being replaced, or has been. */
  readonly replacing: (isUnderWay: boolean) => void;
}

/** How long a question waits for a tree that is made again. */
const REBUILD_WAIT_MS = 10_000;

export class TreeHolder {
  /** Undefined where there is none: nothing is needed of it then. */
  current: IndexTree | undefined;
  readonly #parts: TreeHolderParts;
  readonly #waiters = new WaiterList();
  #replacing: Promise<void> | undefined;
  /** Why the last attempt to put another one in its place has failed. */
  #failure: VarveError | undefined;
  #isClosing = false;

  constructor(parts: TreeHolderParts, tree: IndexTree | undefined) {
    this.#parts = parts;
    this.current = tree;
  }

  /** It holds what it must. */
  get isAnswering(): boolean {
    const tree = this.current;
    return (
      this.#replacing === undefined &&
      this.#failure === undefined &&
      (tree === undefined || tree.covered >= this.#parts.neededTo())
    );
  }

  get failure(): VarveError | undefined {
    return this.#failure;
  }

  /** Resolves when no other tree is being put in its place. */
  async whenReplaced(): Promise<void> {
    await this.#replacing;
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

  /** Questions that wait are refused; no other tree is put in its place any more. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#waiters.rejectAll(closedError());
    await this.#replacing;
    await this.current?.tree.close();
  }

  #setAside(error: VarveError): void {
    const tree = this.current;
    if (tree === undefined || this.#replacing !== undefined || this.#isClosing) {
      return;
    }
    reached('set a tree of derived data aside');
    this.#parts.logger({
      level: 'warn',
      event: 'index-damaged',
      message: 'Derived data is damaged and is made again from the log. No event is lost.',
      details: { cause: error },
    });
    this.#replacing = this.#replace(tree);
  }

  /** Never rejects. */
  async #replace(tree: IndexTree): Promise<void> {
    this.#parts.replacing(true);
    try {
      this.current = await this.#parts.replace(tree);
      this.#failure = undefined;
    } catch (error) {
      // Nothing answers from now on but memory; reopening tries again.
      this.current = undefined;
      this.#failure = asVarveError(error, 'Derived data can not be made again');
      this.#waiters.rejectAll(unanswered(error));
    }
    this.#replacing = undefined;
    this.#parts.replacing(false);
    this.grown();
  }

  #wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isClosing || this.#failure !== undefined) {
        reject(this.#isClosing ? closedError() : unanswered(this.#failure));
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
