/** What the store consists of, as the manifest says it durably: changed one step at a time, on disk first. */
import type { Background } from './compaction/background.ts';
import type { CountedTableNumbers } from './compaction/table-numbers.ts';
import { encodeManifest, type ManifestState } from './manifest/format.ts';

export type ManifestChange = (
  state: ManifestState,
) => Omit<ManifestState, 'edit' | 'nextTableNumber'>;

export class ManifestKeeper {
  readonly #background: Background;
  readonly #numbers: CountedTableNumbers;
  #state: ManifestState;
  /** The last edit under way: the next one waits for it. */
  #edits: Promise<void> = Promise.resolve();

  constructor(background: Background, numbers: CountedTableNumbers, state: ManifestState) {
    this.#background = background;
    this.#numbers = numbers;
    this.#state = state;
  }

  get state(): ManifestState {
    return this.#state;
  }

  /**
   * Replaces the manifest by a changed one, when those before have been; `installed` is called in the turn in which the change is the
   * state, durably. If the replacement fails the state is as before, whatever the disk says: the next edit replaces that.
   */
  async edit(
    change: ManifestChange,
    installed: (state: ManifestState, size: number) => void,
  ): Promise<void> {
    const before = this.#edits;
    let end: (() => void) | undefined;
    this.#edits = new Promise<void>((resolve) => (end = resolve));
    await before;
    try {
      const next = {
        ...change(this.#state),
        edit: this.#state.edit + 1,
        nextTableNumber: Math.max(this.#state.nextTableNumber, this.#numbers.upcoming),
      };
      const content = encodeManifest(next);
      await this.#background.run({ kind: 'manifest', content });
      this.#state = next;
      installed(next, content.length);
    } finally {
      end?.();
    }
  }

  /** Resolves when no edit is under way. */
  async settled(): Promise<void> {
    await this.#edits;
  }
}
