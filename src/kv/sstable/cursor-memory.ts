import type { EntryRun } from './entry-run.ts';

/** What a cursor keeps of its own while it stands: memory that costs more to make than a short scan costs besides. */
export class CursorMemory {
  /** The key of the entry it stands on. */
  key: Uint8Array = new Uint8Array(256);
  /** The block it stands in, if the cache has it. */
  block: Uint8Array = new Uint8Array(0);
  /** Backwards: made when it is needed, most cursors only go forwards. */
  run: EntryRun | undefined;
}

const POOL_COUNT_MAX = 32;
const POOLED_SIZE_MAX = 64 * 1024;

/** Of cursors that are gone, for those that come. */
export class CursorMemoryPool {
  readonly #free: CursorMemory[] = [];

  take(): CursorMemory {
    return this.#free.pop() ?? new CursorMemory();
  }

  /** Nobody reads it any more. */
  give(memory: CursorMemory): void {
    if (
      this.#free.length < POOL_COUNT_MAX &&
      memory.key.length + memory.block.length <= POOLED_SIZE_MAX
    ) {
      this.#free.push(memory);
    }
  }
}
