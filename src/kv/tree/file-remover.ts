import { VarveError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { reached } from '../../base/reached.ts';
import type { Background } from '../compaction/background.ts';

/** Has files removed that nothing needs any more. Freeing a large one takes a file system some ms: the background does it. */
export class FileRemover {
  readonly #background: Background;
  readonly #logger: Logger;
  readonly #ended: () => void;
  #underWayCount = 0;

  /** `ended` is called when nothing is under way any more. */
  constructor(background: Background, logger: Logger, ended: () => void) {
    this.#background = background;
    this.#logger = logger;
    this.#ended = ended;
  }

  get isBusy(): boolean {
    return this.#underWayCount > 0;
  }

  /** In this order, none behind one that can't be. `over` is told whether all are removed. */
  remove(paths: readonly string[], over?: (isDone: boolean) => void): void {
    if (paths.length === 0) {
      over?.(true);
      return;
    }
    this.#underWayCount += 1;
    void this.#removeAll(paths, over);
  }

  async #removeAll(
    paths: readonly string[],
    over: ((isDone: boolean) => void) | undefined,
  ): Promise<void> {
    let isDone = false;
    try {
      await this.#background.run({ kind: 'remove', paths });
      isDone = true;
    } catch (error) {
      this.#failed(error, paths);
    } finally {
      // Order: what is asked for now counts as under way before this ends.
      over?.(isDone);
      this.#underWayCount -= 1;
      if (this.#underWayCount === 0) {
        this.#ended();
      }
    }
  }

  /** Whoever opens the store next finds them and removes them. */
  #failed(cause: unknown, paths: readonly string[]): void {
    reached('could not remove what is not needed');
    if (cause instanceof VarveError && cause.code === 'CLOSED') {
      // They became so when it was too late.
      return;
    }
    this.#logger({
      level: 'warn',
      event: 'derived-write-failed',
      message:
        'Files that are not needed any more could not be removed: the next open tries again.',
      details: { cause, paths },
    });
  }
}
