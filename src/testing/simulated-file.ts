import { assert } from '../base/assert.ts';
import type { File } from '../io/file-system.ts';
import type { Fault, FaultPlan } from './fault-plan.ts';
import type { HoldQueue } from './hold-queue.ts';
import { throwIfFailing } from './operation-runner.ts';
import type { OperationFacts, OperationRunner } from './operation-runner.ts';
import type { SimulatedInode } from './simulated-inode.ts';
import { systemError } from './system-error.ts';

/** What an open file needs of the file system it belongs to. */
export interface SimulatedDisk {
  readonly runner: OperationRunner;
  readonly faults: FaultPlan;
  readonly heldReads: HoldQueue;
  readonly heldWrites: HoldQueue;
  readonly heldSyncs: HoldQueue;
  /** Bytes still free. */
  room(): number;
  closed(file: SimulatedFile): void;
}

export class SimulatedFile implements File {
  readonly path: string;
  readonly inode: SimulatedInode;
  readonly #disk: SimulatedDisk;
  readonly #isWritable: boolean;
  #isOpen = true;
  /** Asynchronous calls that have not ended. */
  #pendingCount = 0;

  constructor(disk: SimulatedDisk, inode: SimulatedInode, path: string, isWritable: boolean) {
    this.#disk = disk;
    this.inode = inode;
    this.path = path;
    this.#isWritable = isWritable;
  }

  size(): number {
    this.#check(this.#isOpen, 'fstat');
    return this.inode.size;
  }

  read(target: Uint8Array, offset: number): number {
    this.#check(this.#isOpen, 'read');
    assertOffset(offset);
    const facts: OperationFacts = { kind: 'read', path: this.path, offset, size: target.length };
    return this.#disk.runner.run(facts, () => this.inode.read(target, offset));
  }

  async readAsync(target: Uint8Array, offset: number): Promise<number> {
    this.#check(this.#isOpen, 'read');
    assertOffset(offset);
    const { path } = this;
    const size = target.length;
    const { runner, heldReads } = this.#disk;
    const running = runner.begin({ kind: 'read', path, offset, size, async: true });
    // The bytes are those that are there when it is answered.
    const finish = (): number => runner.finish(running, () => this.inode.read(target, offset));
    return this.#track(heldReads.submit(finish));
  }

  write(source: Uint8Array, offset: number): number {
    return this.#write(source, offset, false);
  }

  async writeAsync(source: Uint8Array, offset: number): Promise<number> {
    // The bytes are in the page cache from now on; only the answer may be held back.
    const outcome = outcomeOf(() => this.#write(source, offset, true));
    return this.#track(this.#disk.heldWrites.submit(outcome));
  }

  sync(): void {
    this.#check(this.#isOpen, 'fsync');
    this.#disk.runner.run({ kind: 'sync', path: this.path }, (sequence, fault) =>
      this.#sync(sequence, fault),
    );
  }

  async syncAsync(): Promise<void> {
    this.#check(this.#isOpen, 'fsync');
    // Order: its place among the writes is that of its issue. What is written while it is held it does not cover.
    const running = this.#disk.runner.begin({ kind: 'sync', path: this.path, async: true });
    const finish = (): void =>
      this.#disk.runner.finish(running, (sequence, fault) => this.#sync(sequence, fault));
    return this.#track(this.#disk.heldSyncs.submit(finish));
  }

  truncate(size: number): void {
    this.#check(this.#isWritable, 'ftruncate', 'EINVAL');
    this.#check(this.#isOpen, 'ftruncate');
    assertOffset(size);
    this.#disk.runner.run({ kind: 'truncate', path: this.path, size }, (sequence) =>
      this.inode.truncate(size, sequence),
    );
  }

  close(): void {
    this.#check(this.#isOpen, 'close');
    assert(this.#pendingCount === 0, 'no asynchronous call is pending on a file that is closed');
    this.#isOpen = false;
    this.#disk.closed(this);
  }

  async #track<T>(call: Promise<T>): Promise<T> {
    this.#pendingCount += 1;
    try {
      return await call;
    } finally {
      this.#pendingCount -= 1;
    }
  }

  #write(source: Uint8Array, offset: number, async: boolean): number {
    this.#check(this.#isOpen && this.#isWritable, 'write');
    assertOffset(offset);
    const size = source.length;
    const facts: OperationFacts = { kind: 'write', path: this.path, offset, size, async };
    return this.#disk.runner.run(facts, (sequence, fault) => {
      const wanted = fault === undefined ? size : faultySize(fault, size, this.#disk.faults);
      const fits = this.inode.fittingSize(offset, wanted, this.#disk.room());
      this.inode.write(source.subarray(0, fits), offset, sequence);
      throwIfFailing({ kind: 'write', path: this.path }, fault);
      if (fits === 0 && size > 0) {
        throw systemError('ENOSPC', 'write', this.path);
      }
      return fits;
    });
  }

  #sync(sequence: number, fault: Fault | undefined): void {
    if (fault === undefined || fault.kind === 'short') {
      this.inode.sync(sequence);
      return;
    }
    this.inode.failSync(sequence);
    throwIfFailing({ kind: 'sync', path: this.path }, fault);
  }

  #check(isAllowed: boolean, syscall: string, code: 'EBADF' | 'EINVAL' = 'EBADF'): void {
    if (!isAllowed) {
      throw systemError(code, syscall, this.path);
    }
  }
}

/** Bytes that a write with a fault puts into the file. A short write puts at least one: none would not be short. */
function faultySize(fault: Fault, size: number, faults: FaultPlan): number {
  if (fault.kind === 'short') {
    return size <= 1 ? size : 1 + faults.random.below(size - 1);
  }
  return fault.partial === true ? faults.random.below(size + 1) : 0;
}

/** Runs `action` now and returns what answers for it later. */
function outcomeOf<T>(action: () => T): () => T {
  try {
    const result = action();
    return () => result;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

function assertOffset(offset: number): void {
  assert(Number.isSafeInteger(offset), 'an offset is a whole number');
  assert(offset >= 0, 'an offset is not negative');
}
