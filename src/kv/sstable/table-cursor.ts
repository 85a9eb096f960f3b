/**
 * Goes through a table in both directions. Forwards a key is put together in place, over the one before it; backwards the
 * entries from one restart to the next are decoded at once.
 */
import { assert } from '../../base/assert.ts';
import { compareBytes } from '../../base/compare-bytes.ts';
import { type Cursor, EntryKind } from '../entries/cursor.ts';
import {
  type Block,
  countBefore,
  kindOf,
  restartBefore,
  restartEntry,
  restartValue,
  sequenceOf,
} from './block.ts';
import { copyRange } from '../../base/copy-bytes.ts';
import type { BlockSource } from './block-source.ts';
import { BlockWindow } from './block-window.ts';
import { CursorMemory } from './cursor-memory.ts';
import { EntryRun } from './entry-run.ts';
import { KEY_SIZE_MAX } from './format.ts';
import { readVarint, varintSize } from './varint.ts';

const nothing = new Uint8Array(0);

export class TableCursor implements Cursor {
  /** Blocks it has gone to. */
  loadCount = 0;
  isValid = false;
  keyBytes: Uint8Array = nothing;
  keyStart = 0;
  keyEnd = 0;
  sequence = 0;
  kind: EntryKind = EntryKind.delete;
  valueBytes: Uint8Array = nothing;
  valueStart = 0;
  valueEnd = 0;

  readonly #source: BlockSource;
  /** What every entry's sequence is; -1 if the entries have their own. */
  readonly #ingestSequence: number;
  readonly #fillCache: boolean;
  readonly #window: BlockWindow;
  readonly #memory: CursorMemory;

  readonly #block: Block;
  /** Index in the block of the entry the cursor stands on. */
  #entry = 0;
  /** Forwards: where the next entry begins, and the key of this one. */
  #nextAt = 0;
  #key: Uint8Array;
  #keySize = 0;
  /** Backwards: the run that the cursor stands in. */
  #isInRun = false;
  #runRestart = 0;

  constructor(
    source: BlockSource,
    ingestSequence: number,
    fillCache: boolean,
    memory: CursorMemory = new CursorMemory(),
  ) {
    this.#source = source;
    this.#memory = memory;
    this.#key = memory.key;
    this.#ingestSequence = ingestSequence;
    this.#fillCache = fillCache;
    this.#window = new BlockWindow(source);
    this.#block = source.makeBlock();
  }

  /** The cursor is not used any more. Returns its memory, for another one. */
  release(): CursorMemory {
    this.isValid = false;
    return this.#memory;
  }

  /** The block that the entry is in: for checks. */
  get block(): Block {
    return this.#block;
  }

  seekFirst(): void {
    this.isValid = false;
    this.#source.counters.seeks += 1;
    this.#goToBlock(0);
  }

  seekLast(): void {
    this.isValid = false;
    this.#source.counters.seeks += 1;
    this.#goToBlockEnd(this.#source.index.count - 1);
  }

  seek(key: Uint8Array, sequence: number): void {
    this.isValid = false;
    this.#source.counters.seeks += 1;
    const sought = this.#inFile(sequence);
    const index = this.#source.index.find(key, sought);
    if (index === this.#source.index.count) {
      return;
    }
    const block = this.#load(index);
    this.#goToRestart(block, restartBefore(block, key, sought));
    while (this.#entry + 1 < block.count) {
      this.#entry += 1;
      this.#decode(block);
      const order = compareBytes(this.#key, 0, this.#keySize, key, 0, key.length);
      if (order > 0 || (order === 0 && sequenceOf(block, this.#entry) <= sought)) {
        this.isValid = true;
        return;
      }
    }
    // The block ends before the place, but its separator does not.
    this.#goToBlock(index + 1);
  }

  seekBefore(key: Uint8Array): void {
    this.isValid = false;
    this.#source.counters.seeks += 1;
    const { index } = this.#source;
    const blockIndex = Math.min(index.find(key, Number.MAX_SAFE_INTEGER), index.count - 1);
    if (blockIndex < 0) {
      return;
    }
    const block = this.#load(blockIndex);
    const restart = restartBefore(block, key, Number.MAX_SAFE_INTEGER);
    const count = countBefore(block, restart, key);
    if (count === 0) {
      this.#goToBlockEnd(blockIndex - 1);
      return;
    }
    // As if it had come forwards: no more keys are put together than on that way.
    this.#goToRestart(block, restart);
    for (let step = 0; step < count; step += 1) {
      this.#entry += 1;
      this.#decode(block);
    }
    this.isValid = true;
  }

  next(): void {
    assert(this.isValid, 'a cursor moves while it stands on an entry');
    this.isValid = false;
    const block = this.#block;
    if (this.#isInRun) {
      this.#leaveRun();
    }
    if (this.#entry + 1 < block.count) {
      this.#entry += 1;
      this.#decode(block);
      this.isValid = true;
      return;
    }
    if (this.#nextAt !== block.entriesEnd || this.valueEnd !== block.entriesStart) {
      throw block.damage('a block has more entries than it says');
    }
    this.#goToBlock(block.index + 1);
  }

  previous(): void {
    assert(this.isValid, 'a cursor moves while it stands on an entry');
    this.isValid = false;
    const block = this.#block;
    if (this.#entry === 0) {
      this.#goToBlockEnd(block.index - 1);
      return;
    }
    const entry = this.#entry - 1;
    const restart = Math.floor(entry / block.restartInterval);
    const isThere = this.#isInRun && restart === this.#runRestart;
    const run = isThere ? this.#memory.run! : this.#loadRun(block, restart);
    this.#takeFromRun(run, block, entry - run.firstEntry);
  }

  /** A sequence as the entries in the file are to be compared with. */
  #inFile(sequence: number): number {
    if (this.#ingestSequence < 0) {
      return sequence;
    }
    return sequence >= this.#ingestSequence ? Number.MAX_SAFE_INTEGER : -1;
  }

  /** To the first entry of a block; not valid if there is no such block. */
  #goToBlock(index: number): void {
    if (index >= this.#source.index.count) {
      return;
    }
    const block = this.#load(index);
    this.#goToRestart(block, 0);
    this.#entry = 0;
    this.#decode(block);
    this.isValid = true;
  }

  /** To the last entry of a block; not valid if there is no such block. */
  #goToBlockEnd(index: number): void {
    if (index < 0) {
      return;
    }
    const block = this.#load(index);
    const run = this.#loadRun(block, block.restartCount - 1);
    if (run.ends[run.count - 1] !== block.entriesEnd) {
      throw block.damage('a block has more entries than it says');
    }
    this.#takeFromRun(run, block, run.count - 1);
  }

  /** Before the first entry behind a restart. */
  #goToRestart(block: Block, restart: number): void {
    this.#isInRun = false;
    this.#entry = restart * block.restartInterval - 1;
    this.#nextAt = restartEntry(block, restart);
    this.valueEnd = restartValue(block, restart);
    this.#keySize = 0;
  }

  /** Takes the entry at `#nextAt`, which is the one with the index `#entry`. Its value begins where the last one ended. */
  #decode(block: Block): void {
    const { bytes } = block;
    let at = this.#nextAt;
    let shared = bytes[at++]!;
    if (shared >= 0x80) {
      shared = readVarint(bytes, at - 1);
      at += varintSize(shared) - 1;
    }
    let unshared = bytes[at++]!;
    if (unshared >= 0x80) {
      unshared = readVarint(bytes, at - 1);
      at += varintSize(unshared) - 1;
    }
    let tag = bytes[at++]!;
    if (tag >= 0x80) {
      tag = readVarint(bytes, at - 1);
      at += varintSize(tag) - 1;
    }
    const end = at + unshared;
    const valueStart = this.valueEnd;
    const valueEnd = valueStart + (tag >>> 2);
    const keySize = shared + unshared;
    if (
      end > block.entriesEnd ||
      valueEnd > block.entriesStart ||
      shared > this.#keySize ||
      keySize > KEY_SIZE_MAX
    ) {
      throw block.damage('an entry does not fit its block');
    }
    if (keySize > this.#key.length) {
      this.#growKey(keySize);
    }
    copyRange(bytes, at, end, this.#key, shared);
    this.#keySize = keySize;
    this.#nextAt = end;
    this.keyBytes = this.#key;
    this.keyStart = 0;
    this.keyEnd = keySize;
    this.sequence =
      this.#ingestSequence < 0 ? sequenceOf(block, this.#entry) : this.#ingestSequence;
    this.kind = kindOf(block, tag);
    this.valueBytes = bytes;
    this.valueStart = valueStart;
    this.valueEnd = valueEnd;
  }

  #growKey(size: number): void {
    const grown = new Uint8Array(Math.max(size, this.#key.length * 2));
    grown.set(this.#key.subarray(0, this.#keySize));
    this.#key = grown;
    this.#memory.key = grown;
  }

  #loadRun(block: Block, restart: number): EntryRun {
    this.#memory.run ??= new EntryRun();
    this.#isInRun = true;
    this.#runRestart = restart;
    this.#memory.run.load(block, restart);
    return this.#memory.run;
  }

  #takeFromRun(run: EntryRun, block: Block, index: number): void {
    this.#entry = run.firstEntry + index;
    this.keyBytes = run.keys;
    this.keyStart = run.keyStarts[index]!;
    this.keyEnd = run.keyEnds[index]!;
    this.sequence =
      this.#ingestSequence < 0 ? sequenceOf(block, this.#entry) : this.#ingestSequence;
    this.kind = kindOf(block, run.tags[index]!);
    this.valueBytes = block.bytes;
    this.valueStart = run.valueStarts[index]!;
    this.valueEnd = run.valueEnds[index]!;
    this.isValid = true;
  }

  /** Makes the place in the run one from which the cursor can go on forwards. */
  #leaveRun(): void {
    const run = this.#memory.run!;
    const index = this.#entry - run.firstEntry;
    const keySize = run.keyEnds[index]! - run.keyStarts[index]!;
    this.#keySize = 0;
    if (keySize > this.#key.length) {
      this.#growKey(keySize);
    }
    copyRange(run.keys, run.keyStarts[index]!, run.keyEnds[index]!, this.#key, 0);
    this.#keySize = keySize;
    this.#nextAt = run.ends[index]!;
    this.#isInRun = false;
  }

  #load(index: number): Block {
    const block = this.#block;
    const source = this.#source;
    this.loadCount += 1;
    // Bytes of the cursor's own: what the cache holds may move while the cursor stands.
    const own = source.copyCached(index, this.#memory.block, block);
    if (own === undefined) {
      this.#window.read(index, block);
      if (this.#fillCache) {
        source.keep(block);
      }
    } else {
      this.#memory.block = own;
    }
    return block;
  }
}
