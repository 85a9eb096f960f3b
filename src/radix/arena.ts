/**
 * Memory that is given out from its start on and taken back only as a whole. One buffer of fixed size: pages nobody has
 * written cost nothing, and an address is an index, without a chunk to look up (`docs/decisions/0008-memtable.md`). A
 * shared one is read by another thread as it is, once this one has stopped writing.
 */
import { assert, fail } from '../base/assert.ts';
import { align8 } from '../base/integers.ts';

/** Addresses, with three low bits to spare, are positive 32-bit numbers. */
export const ARENA_SIZE_MAX: number = 2 ** 31 - 8;

/** Address 0 means "nothing". */
const FIRST_ADDRESS = 8;

export class Arena {
  readonly memory: SharedArrayBuffer | ArrayBuffer;
  readonly bytes: Uint8Array;
  /** The same memory: the word at address `a` is `words[a / 4]`. */
  readonly words: Int32Array;
  /** The same memory, for what doesn't lie on a border of a word. */
  readonly view: DataView;
  readonly size: number;
  /** Bytes given out; the address of what is given out next. */
  used: number;

  private constructor(memory: SharedArrayBuffer | ArrayBuffer, used: number) {
    assert(memory.byteLength <= ARENA_SIZE_MAX, 'addresses of an arena are 31 bits');
    assert(memory.byteLength % 8 === 0, 'an arena is made of 8-byte units');
    assert(used % 8 === 0, 'an arena gives out 8-byte units');
    assert(used >= FIRST_ADDRESS, 'address 0 is never given out');
    assert(used <= memory.byteLength, 'an arena is as large as what it gave out');
    this.memory = memory;
    this.bytes = new Uint8Array(memory);
    this.words = new Int32Array(memory);
    this.view = new DataView(memory);
    this.size = memory.byteLength;
    this.used = used;
  }

  static create(sizeMax: number, isShared: boolean): Arena {
    assert(sizeMax >= FIRST_ADDRESS, 'an arena has room for its first address');
    assert(sizeMax <= ARENA_SIZE_MAX, 'addresses of an arena are 31 bits');
    const size = align8(sizeMax);
    return new Arena(isShared ? new SharedArrayBuffer(size) : new ArrayBuffer(size), FIRST_ADDRESS);
  }

  /** The arena of another thread, or a copy of one. */
  static attach(memory: SharedArrayBuffer | ArrayBuffer, used: number): Arena {
    return new Arena(memory, used);
  }

  hasRoom(size: number): boolean {
    return size <= this.size - this.used;
  }

  /** Address of `size` bytes that hold anything, a multiple of 8 and never 0. Callers ask `hasRoom` first. */
  allocate(size: number): number {
    const address = this.used;
    const used = address + align8(size);
    if (used > this.size) {
      fail('an arena has no room for what was asked of it', { size, used: address });
    }
    this.used = used;
    return address;
  }

  /** Takes everything back at once: nothing that was given out may be looked at again. */
  reset(): void {
    this.used = FIRST_ADDRESS;
  }
}
