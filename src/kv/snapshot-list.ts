import type { KvSnapshot } from './contract.ts';

/** The snapshots that are open. */
export class SnapshotList {
  readonly #open = new Set<OpenSnapshot>();

  get count(): number {
    return this.#open.size;
  }

  add(sequence: number): KvSnapshot {
    const snapshot = new OpenSnapshot(sequence, this.#open);
    this.#open.add(snapshot);
    return snapshot;
  }

  has(snapshot: KvSnapshot): boolean {
    return this.#open.has(snapshot as OpenSnapshot);
  }

  /** Each once, ascending. */
  sequences(): number[] {
    const distinct = new Set(Array.from(this.#open, ({ version }) => version));
    return [...distinct].sort((left, right) => left - right);
  }
}

class OpenSnapshot implements KvSnapshot {
  readonly version: number;
  readonly #open: Set<OpenSnapshot>;

  constructor(version: number, open: Set<OpenSnapshot>) {
    this.version = version;
    this.#open = open;
  }

  close(): void {
    this.#open.delete(this);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
