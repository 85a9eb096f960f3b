import { VarveError } from '../../base/errors.ts';

/** Where new tables get their numbers from. No number is given twice. */
export interface TableNumbers {
  next(): number;
}

const NUMBER_MAX = 2 ** 31 - 1;

/** A counter in a word that threads may share: the word is the next number. */
export class CountedTableNumbers implements TableNumbers {
  readonly words: Int32Array;

  constructor(words: Int32Array) {
    this.words = words;
  }

  /** Starts at `first`; in shared memory if another thread is to count, too. */
  static startingAt(first: number, isShared: boolean): CountedTableNumbers {
    const size = Int32Array.BYTES_PER_ELEMENT;
    const words = new Int32Array(isShared ? new SharedArrayBuffer(size) : new ArrayBuffer(size));
    words[0] = first;
    return new CountedTableNumbers(words);
  }

  /** What `next` would give. */
  get upcoming(): number {
    return Atomics.load(this.words, 0);
  }

  next(): number {
    const number = Atomics.add(this.words, 0, 1);
    if (number < 0 || number === NUMBER_MAX) {
      Atomics.store(this.words, 0, NUMBER_MAX);
      throw new VarveError('LIMIT_EXCEEDED', `A store makes ${NUMBER_MAX} tables at most.`);
    }
    return number;
  }
}
