/**
 * A thread that stops at every access to shared words, so that a test decides who goes next.
 *
 * The thread is a plain synchronous function, the lane's own code included. There is no way to hold it between two accesses;
 * so each step runs it from its beginning: the accesses of earlier steps get the results and find the bytes they had then,
 * the new access gets its result, and at the one behind it the function is left by an exception. Plain bytes read and written
 * between two accesses belong to the step of the first.
 *
 * Two pasts that leave a thread knowing the same are one *local state*. What it knows: the results since it last settled
 * (forgot the rest), and what `describe` tells of the objects it holds.
 */
import { assert } from '../../../src/base/assert.ts';
import type { Cells } from '../../../src/journal/cells.ts';

export type AccessKind =
  | 'load'
  | 'store'
  | 'add'
  | 'exchange'
  | 'wait'
  | 'notify'
  /** Takes one message out of any of `value` mailboxes beginning at `word`; the result tells which. */
  | 'receive'
  /** Shares nothing: an instant at which others may run, and the thread may die. */
  | 'pause';

export interface Access {
  readonly kind: AccessKind;
  readonly word: number;
  readonly value: number;
}

export interface LocalState {
  /** What the thread does next; none: it has ended. */
  readonly access: Access | undefined;
  /** What it is about. */
  readonly label: string;
  /** What it tells the judge. */
  readonly report: readonly number[];
  readonly past: readonly PastAccess[];
  /** What follows each result and each content of the bytes. */
  readonly steps: Map<number, Step>;
}

export interface Step {
  readonly local: number;
  readonly bytes: number;
}

interface PastAccess {
  readonly result: number;
  readonly bytes: number;
}

export interface ThreadOptions {
  readonly script: (thread: ThreadContext) => void;
  /** Words while the script prepares itself. */
  readonly words: readonly number[];
  readonly bytes: InternedBytes;
  /** Tells apart all pasts, however little is left of them. */
  readonly isForgetful: boolean;
}

/** Numbers below it fit into 16 bits, with one to spare. */
const COUNT_MAX = 0xffff;

class Suspension extends Error {
  override readonly name = 'Suspension';
}
const suspension = new Suspension();

/** Contents of the shared bytes, by number. */
export class InternedBytes {
  readonly buffer: ArrayBuffer;
  readonly #bytes: Buffer;
  readonly #contents: Buffer[] = [];
  readonly #numbers = new Map<string, number>();

  constructor(size: number) {
    this.buffer = new ArrayBuffer(size);
    this.#bytes = Buffer.from(this.buffer);
    this.save();
  }

  textOf(number: number): string {
    return this.#contents[number]!.toString('hex');
  }

  /** The number of what they are now. */
  save(): number {
    const text = this.#bytes.toString('latin1');
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = this.#contents.length;
      assert(number < COUNT_MAX, 'the number of a content fits into 16 bits');
      this.#numbers.set(text, number);
      this.#contents.push(Buffer.from(this.#bytes));
    }
    return number;
  }

  restore(number: number): void {
    this.#bytes.set(this.#contents[number]!);
  }
}

/** What the script of a thread sees of the world. */
export class ThreadContext {
  /** What the thread is about, for people. */
  label = '';
  report: readonly number[] = [];
  /** Everything that the objects it holds have learned from plain bytes, or from accesses before it settled. */
  describe: () => string = () => '';
  access: Access | undefined;
  readonly #past: readonly PastAccess[];
  readonly #options: ThreadOptions;
  readonly #lastKnown: number[] = [];
  #isPreparing = true;
  #done = 0;
  #settled = 0;
  #phase = '';

  constructor(past: readonly PastAccess[], options: ThreadOptions) {
    this.#past = past;
    this.#options = options;
  }

  /** What the thread knows. */
  get key(): string {
    const { isForgetful } = this.#options;
    const past = this.#past.slice(isForgetful ? this.#settled : 0, this.#done);
    const results = past.map(({ result, bytes }) => (isForgetful ? result : `${result}:${bytes}`));
    const { kind, word, value } = this.access ?? { kind: 'end', word: 0, value: 0 };
    return `${this.#phase}|${results.join()}|${kind} ${word} ${value}|${this.describe()}`;
  }

  /** From here on accesses are steps. */
  begin(): void {
    this.#isPreparing = false;
  }

  /** The thread stands at `phase` and makes no use any more of what accesses told it before. */
  settle(phase: string): void {
    this.#phase = phase;
    this.#settled = this.#done;
  }

  /** What this thread found in a word or stored in it, whichever came last. */
  lastKnown(word: number): number {
    return this.#lastKnown[word] ?? this.#options.words[word]!;
  }

  cells(words: (index: number) => number): Cells {
    return {
      load: (index) => {
        const value = this.#take('load', words(index), 0);
        this.#lastKnown[words(index)] = value;
        return value;
      },
      store: (index, value) => {
        this.#take('store', words(index), value);
        this.#lastKnown[words(index)] = value;
      },
      add: (index, value) => this.#take('add', words(index), value),
      exchange: (index, value) => this.#take('exchange', words(index), value),
      wait: (index, value) => void this.#take('wait', words(index), value),
      notify: (index) => void this.#take('notify', words(index), 0),
    };
  }

  post(mailbox: number): void {
    this.#take('add', mailbox, 1);
  }

  /** Sleeps until there is a message in one of the mailboxes, and tells in which. */
  receive(firstMailbox: number, count: number): number {
    return this.#take('receive', firstMailbox, count);
  }

  pause(): void {
    this.#take('pause', 0, 0);
  }

  #take(kind: AccessKind, word: number, value: number): number {
    if (this.#isPreparing) {
      return this.#options.words[word]!;
    }
    const past = this.#past[this.#done];
    if (past === undefined) {
      this.access = { kind, word, value };
      throw suspension;
    }
    this.#options.bytes.restore(past.bytes);
    this.#done += 1;
    return past.result;
  }
}

/** All local states that a thread can come to. */
export class SteppedThread {
  readonly states: LocalState[] = [];
  readonly #options: ThreadOptions;
  readonly #numbers = new Map<string, number>();

  /** State 0 is before the first access. */
  constructor(options: ThreadOptions) {
    this.#options = options;
    this.#run([]);
  }

  /** Gives the access at hand its result and goes on to the next one. */
  step(local: number, result: number, bytes: number): Step {
    const state = this.states[local]!;
    const name = (result >>> 0) * COUNT_MAX + bytes;
    let step = state.steps.get(name);
    if (step === undefined) {
      const next = this.#run([...state.past, { result, bytes }]);
      step = { local: next, bytes: this.#options.bytes.save() };
      state.steps.set(name, step);
    }
    return step;
  }

  #run(past: readonly PastAccess[]): number {
    const context = new ThreadContext(past, this.#options);
    try {
      this.#options.script(context);
    } catch (error) {
      if (error !== suspension) {
        throw error;
      }
    }
    const { access, label, report, key } = context;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.states.length;
      assert(number < COUNT_MAX, 'the number of a local state fits into 16 bits');
      this.#numbers.set(key, number);
      this.states.push({ access, label, report, past, steps: new Map() });
    }
    return number;
  }
}
