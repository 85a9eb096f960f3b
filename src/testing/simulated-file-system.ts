/**
 * A disk in memory that remembers what is durable. Everything that a program sees is the current state; a power cut
 * (`crashClone`) leaves the durable state and an arbitrary part of what came after it:
 *
 *     content      per sector: the durable bytes, or any bytes it has had since   durable by File.sync
 *     size         durable, current, or a whole number of sectors between         durable by File.sync
 *     names        per change: done or not                                        durable by syncDirectory
 *
 * Nothing here depends on time or on unseeded chance: same calls, same seeds, same disk.
 */
import { rejectUnknownNames } from '../base/arguments.ts';
import { createHash } from 'node:crypto';
import { assert } from '../base/assert.ts';
import { VarveError } from '../base/errors.ts';
import { SeededRandom } from '../base/random.ts';
import type {
  Anchor,
  Directory,
  DirectoryEntry,
  DirectoryLock,
  EntryKind,
  File,
  HeldDirectory,
  HoldingFileSystem,
  OpenMode,
} from '../io/file-system.ts';
import { FaultPlan } from './fault-plan.ts';
import { HoldQueue } from './hold-queue.ts';
import { OperationRunner, throwIfFailing } from './operation-runner.ts';
import type { OperationHook, OperationKind } from './operation-runner.ts';
import { SimulatedFile } from './simulated-file.ts';
import type { SimulatedDisk } from './simulated-file.ts';
import { SimulatedInode } from './simulated-inode.ts';
import type { CrashChoice } from './simulated-inode.ts';
import { SimulatedDirectory, SimulatedTree, namesOf } from './simulated-tree.ts';
import type { Place, SimulatedNode } from './simulated-tree.ts';
import { systemError } from './system-error.ts';

export type { Fault, FaultKind, FaultPlanOptions } from './fault-plan.ts';
export { FaultPlan } from './fault-plan.ts';
export type { Operation, OperationHook, OperationKind } from './operation-runner.ts';
export type { CrashChoice } from './simulated-inode.ts';

const optionNames: ReadonlySet<string> = new Set(['faults', 'onBeforeOperation', 'onOperation']);

export interface SimulatedFileSystemOptions {
  readonly faults?: FaultPlan;
  /** Called when an operation is counted, before it has any effect. */
  readonly onBeforeOperation?: OperationHook;
  /** Called right after an operation took effect or failed, before its caller knows. */
  readonly onOperation?: OperationHook;
}

export class SimulatedFileSystem implements HoldingFileSystem {
  /** May be changed at any time. */
  readonly faults: FaultPlan;
  readonly #runner: OperationRunner;
  readonly #heldReads = new HoldQueue();
  readonly #heldWrites = new HoldQueue();
  readonly #heldSyncs = new HoldQueue();
  readonly #openFiles = new Set<SimulatedFile>();
  /** Locked directories, with the number of the lock that each has. */
  readonly #locks = new Map<SimulatedDirectory, number>();
  #lockCount = 0;
  readonly #identities = new WeakMap<SimulatedNode, string>();
  #identityCount = 0;
  readonly #disk: SimulatedDisk;
  #tree = new SimulatedTree();

  constructor(options: SimulatedFileSystemOptions = {}) {
    rejectUnknownNames(options, optionNames, 'option of a simulated file system');
    this.faults = options.faults ?? new FaultPlan();
    this.#runner = new OperationRunner(this.faults);
    this.#runner.onBeforeOperation = options.onBeforeOperation;
    this.#runner.onOperation = options.onOperation;
    this.#disk = {
      runner: this.#runner,
      faults: this.faults,
      heldReads: this.#heldReads,
      heldWrites: this.#heldWrites,
      heldSyncs: this.#heldSyncs,
      room: () => this.#room(),
      closed: (file) => this.#openFiles.delete(file),
    };
  }

  open(path: string, mode: OpenMode): File {
    const kind = mode === 'create' ? 'create' : 'open';
    return this.#runner.run({ kind, path }, () => {
      const inode = mode === 'create' ? this.#create(path) : this.#fileAt(path, 'open');
      const file = new SimulatedFile(this.#disk, inode, path, mode !== 'read');
      this.#openFiles.add(file);
      return file;
    });
  }

  list(path: string): DirectoryEntry[] {
    return this.#runner.run({ kind: 'list', path }, () => {
      const entries = [...this.#tree.directoryAt(path, 'scandir').entries];
      return entries
        .map(([name, node]): DirectoryEntry => ({ name, kind: node.kind }))
        .toSorted((left, right) => (left.name < right.name ? -1 : 1));
    });
  }

  stat(path: string): { readonly kind: EntryKind; readonly size: number } | undefined {
    return this.#runner.run({ kind: 'stat', path }, () => {
      const node = this.#tree.find(path);
      if (node === undefined) {
        return undefined;
      }
      return { kind: node.kind, size: node.kind === 'file' ? node.size : 0 };
    });
  }

  makeDirectory(path: string): boolean {
    return this.#runner.run({ kind: 'makeDirectory', path }, () => {
      const existing = this.#tree.find(path);
      if (existing?.kind === 'file') {
        throw systemError('EEXIST', 'mkdir', path);
      }
      if (existing !== undefined) {
        return false;
      }
      const place = this.#tree.placeOf(path, 'mkdir');
      this.#tree.change([{ ...place, before: undefined, after: new SimulatedDirectory() }]);
      return true;
    });
  }

  rename(source: string, target: string): void {
    this.#runner.run({ kind: 'rename', path: source, target }, () => {
      const from = this.#tree.placeOf(source, 'rename');
      const to = this.#tree.placeOf(target, 'rename');
      const node = from.directory.entries.get(from.name);
      if (node === undefined) {
        throw systemError('ENOENT', 'rename', source);
      }
      const replaced = to.directory.entries.get(to.name);
      if (replaced === node) {
        return;
      }
      if (node.kind === 'directory' || replaced?.kind === 'directory') {
        this.#checkDirectoryRename(source, target);
      }
      this.#tree.change([
        { ...from, before: node, after: undefined },
        { ...to, before: node.kind === 'file' ? 'anything' : undefined, after: node },
      ]);
    });
  }

  link(source: string, target: string): void {
    this.#runner.run({ kind: 'link', path: source, target }, () => {
      const from = this.#tree.placeOf(source, 'link');
      const node = from.directory.entries.get(from.name);
      if (node === undefined) {
        throw systemError('ENOENT', 'link', source);
      }
      if (node.kind === 'directory') {
        throw systemError('EPERM', 'link', source);
      }
      const to = this.#vacantPlace(target, 'link');
      this.#tree.change([{ ...to, before: undefined, after: node }]);
    });
  }

  remove(path: string): void {
    this.#runner.run({ kind: 'remove', path }, () => {
      const before = this.#fileAt(path, 'unlink');
      this.#tree.change([{ ...this.#tree.placeOf(path, 'unlink'), before, after: undefined }]);
    });
  }

  syncDirectory(path: string): void {
    this.#syncDirectory(path);
  }

  openDirectory(path: string): Directory {
    const directory = this.#runner.run({ kind: 'open', path }, () =>
      this.#tree.directoryAt(path, 'open'),
    );
    return { sync: () => this.#syncDirectory(path, directory), close: () => {} };
  }

  #syncDirectory(path: string, opened?: SimulatedDirectory): void {
    const facts = {
      kind: 'syncDirectory',
      path,
      ...(opened && ({ isOpen: true } as const)),
    } as const;
    this.#runner.run(facts, (_sequence, fault) => {
      const directory = opened ?? this.#tree.directoryAt(path, 'fsync');
      if (fault?.kind === 'EMFILE') {
        throw systemError('EMFILE', 'open', path);
      }
      if (fault === undefined || fault.kind === 'short') {
        this.#tree.sync(directory);
        return;
      }
      this.#tree.failSync(directory);
      throwIfFailing({ kind: 'syncDirectory', path }, fault);
    });
  }

  /** Not an operation, as nothing that concerns locks is: it is not counted and never fails by plan. */
  async lockDirectory(path: string): Promise<DirectoryLock> {
    const directory = this.#tree.directoryAt(path, 'lock');
    if (this.#locks.has(directory)) {
      throw lockedError(path);
    }
    this.#lockCount += 1;
    const sign = this.#lockCount;
    this.#locks.set(directory, sign);
    return {
      held: { path, anchor: path, identity: this.#identityOf(directory), names: [], sign },
      release: async () => {
        if (this.#locks.get(directory) === sign) {
          this.#locks.delete(directory);
        }
      },
    };
  }

  anchorDirectory(path: string): Anchor {
    const identity = this.#identityOf(this.#tree.directoryAt(path, 'open'));
    return { anchor: path, identity, close: () => {} };
  }

  async checkUnlocked(path: string): Promise<void> {
    if (this.#locks.has(this.#tree.directoryAt(path, 'lock'))) {
      throw lockedError(path);
    }
  }

  isHeld({ sign }: HeldDirectory): boolean {
    return [...this.#locks.values()].some((number) => number === sign);
  }

  /** Takes the lock of a directory away from its holder, as somebody does who removes the names that stand for it. */
  removeLock(path: string): void {
    this.#locks.delete(this.#tree.directoryAt(path, 'lock'));
  }

  identify(path: string): string | undefined {
    const node = this.#tree.find(path);
    return node === undefined ? undefined : this.#identityOf(node);
  }

  realPath(path: string): string {
    if (this.#tree.find(path) === undefined) {
      throw systemError('ENOENT', 'realpath', path);
    }
    return `/${namesOf(path).join('/')}`;
  }

  /**
   * What a power cut now could leave: a new disk, independent of this one, with no open files, locks, faults or hooks
   * and everything durable. The same calls and the same seed give the same clone.
   */
  crashClone(
    random: SeededRandom,
    choice: CrashChoice,
    options?: SimulatedFileSystemOptions,
  ): SimulatedFileSystem {
    const clone = new SimulatedFileSystem(options);
    clone.#tree = this.#tree.crashCopy(random, choice);
    return clone;
  }

  /** The current state, all of it durable, on a new disk. */
  clone(options?: SimulatedFileSystemOptions): SimulatedFileSystem {
    const choice = { keep: 'all', sector: 512, directory: 'ordered' } as const;
    return this.crashClone(new SeededRandom(0), choice, options);
  }

  /** Operations so far, the failed ones included. */
  get operations(): number {
    return this.#runner.issued;
  }

  get counts(): Readonly<Record<OperationKind, number>> {
    return this.#runner.counts;
  }

  get openCount(): number {
    return this.#openFiles.size;
  }

  get onBeforeOperation(): OperationHook | undefined {
    return this.#runner.onBeforeOperation;
  }

  set onBeforeOperation(hook: OperationHook | undefined) {
    this.#runner.onBeforeOperation = hook;
  }

  get onOperation(): OperationHook | undefined {
    return this.#runner.onOperation;
  }

  set onOperation(hook: OperationHook | undefined) {
    this.#runner.onOperation = hook;
  }

  /** From now on `syncAsync` takes effect and resolves when it is released. */
  holdSyncs(): void {
    this.#heldSyncs.hold();
  }

  /** Completes the `count` oldest held syncs and goes on holding; without a count all, and ends the hold. */
  releaseSyncs(count?: number): void {
    this.#heldSyncs.release(count);
  }

  /** From now on `writeAsync` resolves when it is released. Its bytes are readable, and un-synced, at once. */
  holdWrites(): void {
    this.#heldWrites.hold();
  }

  /** Completes the `count` oldest held writes and goes on holding; without a count all, and ends the hold. */
  releaseWrites(count?: number): void {
    this.#heldWrites.release(count);
  }

  /** From now on `readAsync` takes effect and resolves when it is released. */
  holdReads(): void {
    this.#heldReads.hold();
  }

  /** Completes the `count` oldest held reads and goes on holding; without a count all, and ends the hold. */
  releaseReads(count?: number): void {
    this.#heldReads.release(count);
  }

  /** Held reads, writes and syncs. */
  get pendingCount(): number {
    return this.#heldReads.count + this.#heldWrites.count + this.#heldSyncs.count;
  }

  /** Flips a bit on the medium, in the current content and in all that a power cut could bring back. */
  flipBit(path: string, offset: number, bit: number): void {
    this.#fileAt(path, 'flip').flipBit(offset, bit);
  }

  /** A copy of the current content. */
  readFile(path: string): Uint8Array {
    return this.#fileAt(path, 'read').bytes();
  }

  /** Writes a file durably and at once; makes the directories it needs. */
  writeFile(path: string, bytes: Uint8Array): void {
    const names = namesOf(path);
    for (let depth = 1; depth < names.length; depth += 1) {
      const parent = `/${names.slice(0, depth).join('/')}`;
      this.#setDurably(parent, this.#tree.find(parent) ?? new SimulatedDirectory());
    }
    const node = this.#tree.find(path) ?? new SimulatedInode();
    assert(node.kind === 'file', 'a file is not written over a directory');
    node.replace(bytes);
    this.#setDurably(path, node);
  }

  /** Removes a file durably and at once. */
  removeFile(path: string): void {
    this.#fileAt(path, 'unlink');
    this.#setDurably(path, undefined);
  }

  /** Paths of all files, sorted. */
  paths(): string[] {
    const nodes = this.#tree.nodes().filter(([, node]) => node.kind === 'file');
    return nodes.map(([path]) => path);
  }

  /** Equal if and only if all paths, directories included, and the contents of all files are. */
  snapshotDigest(): string {
    const hash = createHash('sha256');
    for (const [path, node] of this.#tree.nodes()) {
      const content = node.kind === 'file' ? node.digest() : 'directory';
      hash.update(`${JSON.stringify(path)} ${content}\n`);
    }
    return hash.digest('hex');
  }

  /** Bytes that the files take on the disk, holes left out; removed files that are still open count. */
  get allocatedSize(): number {
    const inodes = new Set([...this.#openFiles].map((file) => file.inode));
    for (const [, node] of this.#tree.nodes()) {
      if (node.kind === 'file') {
        inodes.add(node);
      }
    }
    return [...inodes].reduce((sum, inode) => sum + inode.allocatedSize, 0);
  }

  #identityOf(node: SimulatedNode): string {
    const known = this.#identities.get(node);
    if (known !== undefined) {
      return known;
    }
    this.#identityCount += 1;
    const identity = String(this.#identityCount);
    this.#identities.set(node, identity);
    return identity;
  }

  #room(): number {
    const capacity = this.faults.capacity;
    return capacity === Infinity ? Infinity : capacity - this.allocatedSize;
  }

  #create(path: string): SimulatedInode {
    const place = this.#vacantPlace(path, 'open');
    const inode = new SimulatedInode();
    this.#tree.change([{ ...place, before: undefined, after: inode }]);
    return inode;
  }

  #vacantPlace(path: string, syscall: string): Place {
    const place = this.#tree.placeOf(path, syscall);
    if (place.directory.entries.has(place.name)) {
      throw systemError('EEXIST', syscall, path);
    }
    return place;
  }

  #fileAt(path: string, syscall: string): SimulatedInode {
    if (namesOf(path).length === 0) {
      throw systemError('EISDIR', syscall, path);
    }
    const { directory, name } = this.#tree.placeOf(path, syscall);
    const node = directory.entries.get(name);
    if (node === undefined) {
      throw systemError('ENOENT', syscall, path);
    }
    if (node.kind === 'directory') {
      throw systemError('EISDIR', syscall, path);
    }
    return node;
  }

  /** Directories may be renamed, but neither replace nor be replaced, nor move into themselves. */
  #checkDirectoryRename(source: string, target: string): void {
    const replaced = this.#tree.find(target)?.kind;
    if (this.#tree.find(source)?.kind === 'file') {
      throw systemError('EISDIR', 'rename', target);
    }
    if (replaced !== undefined) {
      throw systemError(replaced === 'file' ? 'ENOTDIR' : 'ENOTEMPTY', 'rename', target);
    }
    const names = namesOf(source);
    if (namesOf(target).slice(0, names.length).join('/') === names.join('/')) {
      throw systemError('EINVAL', 'rename', target);
    }
  }

  #setDurably(path: string, node: SimulatedInode | SimulatedDirectory | undefined): void {
    const place = this.#tree.placeOf(path, 'write');
    this.#tree.change([{ ...place, before: 'anything', after: node }], true);
  }
}

function lockedError(path: string): VarveError {
  return new VarveError('LOCKED', `Directory ${path} is locked by this simulated process.`, {
    details: { path },
  });
}
