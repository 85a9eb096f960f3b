/** What threads, shared words and bytes may do next, and what that makes of them. */
import type { Access, InternedBytes, LocalState, SteppedThread } from './stepped-thread.ts';

export interface World {
  readonly names: readonly string[];
  readonly threads: readonly SteppedThread[];
  readonly words: readonly number[];
  readonly wordNames: readonly string[];
  readonly bytes: InternedBytes;
  /** Threads of which one may die, at any instant. */
  readonly mortals: readonly number[];
  /** What the death of a thread tells others, if anything: 1 is added to this word. */
  deathWord(thread: number): number | undefined;
  /** Throws if nothing should rest like this. */
  judge(end: End): void;
}

export interface End {
  readonly words: readonly number[];
  /** Without an access: has ended. Undefined: was killed. */
  readonly locals: readonly (LocalState | undefined)[];
}

export interface Move {
  readonly thread: number;
  readonly local: number;
  /** Of the access; undefined: the thread dies. */
  readonly result: number | undefined;
}

/** Words first, then the number of the bytes, whether one has died, and each thread's local state and sleep. */
export type State = number[];

const DEAD = 0xffff;
const AWAKE = 0;
const ASLEEP = 1;
const NOTIFIED = 2;

export class Machine {
  readonly world: World;
  readonly #bytes: number;
  readonly #hasDied: number;
  readonly #locals: number;
  readonly #sleeps: number;

  constructor(world: World) {
    this.world = world;
    this.#bytes = world.words.length;
    this.#hasDied = this.#bytes + 1;
    this.#locals = this.#hasDied + 1;
    this.#sleeps = this.#locals + world.threads.length;
  }

  /** Bytes that `pack` writes. */
  get packedSize(): number {
    return this.#sleeps + this.world.threads.length + (this.#sleeps - this.#bytes);
  }

  first(): State {
    const { words, threads } = this.world;
    return [...words, 0, 0, ...threads.map(() => 0), ...threads.map(() => AWAKE)];
  }

  /** Tells states apart. A word takes less than 256 values, one beside the other; what is numbered takes two bytes. */
  pack(state: State, target: Uint8Array): void {
    for (let index = 0; index < state.length; index += 1) {
      target[index] = state[index]!;
    }
    for (let index = this.#bytes; index < this.#sleeps; index += 1) {
      target[index - this.#bytes + state.length] = state[index]! >> 8;
    }
  }

  /** Deaths come last. */
  movesFrom(state: State): Move[] {
    const moves: Move[] = [];
    for (let thread = 0; thread < this.world.threads.length; thread += 1) {
      this.#addAccess(state, thread, moves);
    }
    if (state[this.#hasDied] === 0) {
      for (const thread of this.world.mortals) {
        if (this.accessOf(state, thread) !== undefined) {
          moves.push({ thread, local: state[this.#locals + thread]!, result: undefined });
        }
      }
    }
    return moves;
  }

  #addAccess(state: State, thread: number, moves: Move[]): void {
    const access = this.accessOf(state, thread);
    if (access === undefined || state[this.#sleeps + thread] === ASLEEP) {
      return;
    }
    const local = state[this.#locals + thread]!;
    const { kind, word, value } = access;
    if (kind !== 'receive') {
      moves.push({ thread, local, result: isRead(access) ? state[word]! : 0 });
      return;
    }
    for (let index = 0; index < value; index += 1) {
      if (state[word + index]! > 0) {
        moves.push({ thread, local, result: index });
      }
    }
  }

  move(state: State, { thread, result }: Move): State {
    const next = state.slice();
    if (result === undefined) {
      this.#kill(next, thread);
    } else {
      this.#access(next, thread, result);
    }
    return next;
  }

  #kill(state: State, thread: number): void {
    const word = this.world.deathWord(thread);
    if (word !== undefined) {
      state[word]! += 1;
    }
    state[this.#hasDied] = 1;
    state[this.#locals + thread] = DEAD;
    state[this.#sleeps + thread] = AWAKE;
  }

  #access(state: State, thread: number, result: number): void {
    const { kind, word, value } = this.accessOf(state, thread)!;
    if (kind === 'wait' && state[this.#sleeps + thread] === AWAKE && state[word] === value) {
      state[this.#sleeps + thread] = ASLEEP;
      return;
    }
    state[this.#sleeps + thread] = AWAKE;
    if (kind === 'store' || kind === 'exchange') {
      state[word] = value;
    } else if (kind === 'add') {
      state[word] = (result + value) | 0;
    } else if (kind === 'receive') {
      state[word + result]! -= 1;
    } else if (kind === 'notify') {
      this.#notify(state, word);
    }
    const local = state[this.#locals + thread]!;
    const step = this.world.threads[thread]!.step(local, result, state[this.#bytes]!);
    state[this.#locals + thread] = step.local;
    state[this.#bytes] = step.bytes;
  }

  #notify(state: State, word: number): void {
    for (let thread = 0; thread < this.world.threads.length; thread += 1) {
      const isAsleep = state[this.#sleeps + thread] === ASLEEP;
      if (isAsleep && this.accessOf(state, thread)!.word === word) {
        state[this.#sleeps + thread] = NOTIFIED;
      }
    }
  }

  /** What the thread does next. None: it has ended or was killed. */
  accessOf(state: State, thread: number): Access | undefined {
    return this.localOf(state, thread)?.access;
  }

  /** Undefined: was killed. */
  localOf(state: State, thread: number): LocalState | undefined {
    const local = state[this.#locals + thread]!;
    return local === DEAD ? undefined : this.world.threads[thread]!.states[local];
  }

  wordsOf(state: State): number[] {
    return state.slice(0, this.#bytes);
  }

  bytesOf(state: State): string {
    return this.world.bytes.textOf(state[this.#bytes]!);
  }

  judge(state: State): void {
    const locals = this.world.threads.map((_, thread) => this.localOf(state, thread));
    this.world.judge({ words: this.wordsOf(state), locals });
  }

  textOf({ thread, local, result }: Move): string {
    const { names, threads, wordNames } = this.world;
    const { access, label } = threads[thread]!.states[local]!;
    const { kind, word, value } = access!;
    const who = `${names[thread]} (${label})`;
    const place = kind === 'pause' ? '' : ` ${wordNames[word]}`;
    const what = `${kind}${place}${isWrite(access!) ? ` ${value}` : ''}`;
    if (result === undefined) {
      return `${who} dies before: ${what}`;
    }
    return `${who}: ${what}${isRead(access!) ? ` → ${result}` : ''}`;
  }
}

function isRead({ kind }: Access): boolean {
  return kind === 'load' || kind === 'add' || kind === 'exchange';
}

function isWrite({ kind }: Access): boolean {
  return kind === 'store' || kind === 'add' || kind === 'exchange' || kind === 'wait';
}
