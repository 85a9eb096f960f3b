/** What the store consists of, as the manifest says it durably: changed one step at a time, on disk first. */
import type { Background } from '../compaction/background.ts';
import type { CountedTableNumbers } from '../compaction/table-numbers.ts';
import { VarveError } from '../../base/errors.ts';
import { reached } from '../../base/reached.ts';
import { encodeManifest, type ManifestState } from '../manifest/format.ts';
import type { TableMeta } from '../sstable/table-meta.ts';

export type ManifestChange = (
  state: ManifestState,
) => Omit<ManifestState, 'edit' | 'nextTableNumber'>;

export class ManifestKeeper {
  readonly #background: Background;
  readonly #numbers: CountedTableNumbers;
  readonly #unneeded: (tables: readonly TableMeta[]) => void;
  #state: ManifestState;
  /** Tables that a manifest would have named which may be on disk or not: the next one that is durable decides. */
  #undecided: readonly TableMeta[] = [];
  /** The last edit under way: the next one waits for it. */
  #edits: Promise<void> = Promise.resolve();

  /** `unneeded` is told of tables that surely are in no manifest, and will be in none. */
  constructor(
    background: Background,
    numbers: CountedTableNumbers,
    state: ManifestState,
    unneeded: (tables: readonly TableMeta[]) => void,
  ) {
    this.#background = background;
    this.#numbers = numbers;
    this.#state = state;
    this.#unneeded = unneeded;
  }

  get state(): ManifestState {
    return this.#state;
  }

  /**
   * Replaces the manifest by a changed one, when those before have been; `installed` is called in the turn in which the change is the
   * state, durably. If the replacement fails the state is as before, whatever the disk says: the next edit replaces that. Rejects with
   * `applied: 'no'` if the disk surely says the same. `made`: new tables that nobody wants if this fails.
   */
  async edit(
    change: ManifestChange,
    installed: (state: ManifestState, size: number) => void,
    made: readonly TableMeta[] = [],
  ): Promise<void> {
    const before = this.#edits;
    let end: (() => void) | undefined;
    this.#edits = new Promise<void>((resolve) => (end = resolve));
    await before;
    try {
      const next = await this.#replace(change, made);
      this.#state = next.state;
      installed(next.state, next.size);
      this.#decide();
    } finally {
      end?.();
    }
  }

  async #replace(
    change: ManifestChange,
    made: readonly TableMeta[],
  ): Promise<{ readonly state: ManifestState; readonly size: number }> {
    try {
      const state = {
        ...change(this.#state),
        edit: this.#state.edit + 1,
        nextTableNumber: Math.max(this.#state.nextTableNumber, this.#numbers.upcoming),
      };
      const content = encodeManifest(state);
      await this.#background.run({ kind: 'manifest', content });
      return { state, size: content.length };
    } catch (error) {
      if (isUnchanged(error)) {
        this.#unneeded(made);
      } else {
        this.#undecided = [...this.#undecided, ...made];
      }
      throw error;
    }
  }

  /** The state is on disk, durably: whatever it doesn't name was named by a manifest that is gone for good, if by any. */
  #decide(): void {
    const undecided = this.#undecided;
    this.#undecided = [];
    if (undecided.length > 0) {
      reached('a later manifest decided about tables');
      this.#unneeded(undecided);
    }
  }

  /** Resolves when no edit is under way. */
  async whenIdle(): Promise<void> {
    await this.#edits;
  }
}

/** True if a failed edit surely left the manifest on disk as it was. */
export function isUnchanged(error: unknown): boolean {
  return error instanceof VarveError && error.applied === 'no';
}
