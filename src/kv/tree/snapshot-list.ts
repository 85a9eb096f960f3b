/** A view of the store that no later write changes. Costs disk space until it is closed. */
export interface Snapshot {
  /** Versions above it are not seen. */
  readonly version: number;
  close(): void;
  [Symbol.dispose](): void;
}

/** The snapshots that are open. */
export class SnapshotList {
  readonly #open = new Set<OpenSnapshot>();
  readonly #closed: (sequence: number) => void;

  /** `closed`: a snapshot is open no more. */
  constructor(closed: (sequence: number) => void = () => {}) {
    this.#closed = closed;
  }

  get count(): number {
    return this.#open.size;
  }

  add(sequence: number): Snapshot {
    const snapshot = new OpenSnapshot(sequence, this.#open, this.#closed);
    this.#open.add(snapshot);
    return snapshot;
  }

  has(snapshot: Snapshot): boolean {
    return this.#open.has(snapshot as OpenSnapshot);
  }

  /** Each once, ascending. */
  sequences(): number[] {
    const distinct = new Set(Array.from(this.#open, ({ version }) => version));
    return [...distinct].sort((left, right) => left - right);
  }
}

class OpenSnapshot implements Snapshot {
  readonly version: number;
  readonly #open: Set<OpenSnapshot>;
  readonly #closed: (sequence: number) => void;

  constructor(version: number, open: Set<OpenSnapshot>, closed: (sequence: number) => void) {
    this.version = version;
    this.#open = open;
    this.#closed = closed;
  }

  close(): void {
    if (this.#open.delete(this)) {
      this.#closed(this.version);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
