import type { CommittedStream } from './contract.ts';

/** One stream while a commit to it is decided. Reused. */
export interface StreamState {
  name: string;
  /** Events before the commit. */
  before: number;
  /** Events so far. */
  count: number;
  /** Of its last event, or -1. */
  lastPosition: number;
  /** Leaf hash of that event, where it is too old for the writer to have it. */
  leaf: Uint8Array | undefined;
}

/** The streams of the commit that is being decided, each once, in order of first mention. Nearly always there is one. */
export class StreamStates {
  readonly #states: StreamState[] = [];
  #count = 0;
  /** By name, if there are several. */
  readonly #byName = new Map<string, StreamState>();

  clear(): void {
    this.#count = 0;
    if (this.#byName.size > 0) {
      this.#byName.clear();
      // A commit to very many streams is rare.
      this.#states.length = 1;
    }
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  of(name: string): StreamState {
    return this.#find(name)!;
  }

  add(name: string, count: number, lastPosition: number, leaf: Uint8Array | undefined): void {
    const state = (this.#states[this.#count] ??= emptyState());
    state.name = name;
    state.before = count;
    state.count = count;
    state.lastPosition = lastPosition;
    state.leaf = leaf;
    this.#count += 1;
    if (this.#count === 2) {
      this.#byName.set(this.#states[0]!.name, this.#states[0]!);
    }
    if (this.#count > 1) {
      this.#byName.set(name, state);
    }
  }

  /** What the commit has added to each. */
  committed(): readonly CommittedStream[] {
    return this.#states.slice(0, this.#count).map(({ name, before, count }) => ({
      stream: name,
      firstRevision: before,
      revision: count - 1,
    }));
  }

  #find(name: string): StreamState | undefined {
    if (this.#count > 1) {
      return this.#byName.get(name);
    }
    const first = this.#states[0];
    return this.#count === 1 && first!.name === name ? first : undefined;
  }
}

function emptyState(): StreamState {
  return { name: '', before: 0, count: 0, lastPosition: -1, leaf: undefined };
}
