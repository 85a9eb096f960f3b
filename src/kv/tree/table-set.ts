/**
 * The tables that reads look at. A view is what the store consisted of at one moment; a read that lasts pins its view, and a table that
 * was replaced is removed when the last view that holds it is let go.
 */
import { compareKeys } from '../../base/compare-bytes.ts';
import { assert } from '../../base/assert.ts';
import { closedError } from '../../base/errors.ts';
import { LEVEL_COUNT, type Levels } from '../manifest/levels.ts';
import { RangeTombstones } from '../entries/range-tombstones.ts';
import { imageMemorySize, type TableImage } from '../sstable/table-file.ts';
import type { TableReader } from '../sstable/table-reader.ts';
import type { TableMeta } from '../sstable/table-meta.ts';

/** One table as readers know it, whichever views it is in. */
export class TableHandle {
  readonly meta: TableMeta;
  /** Open, unless it hasn't been needed lately. */
  reader: TableReader | undefined;
  /** What its reader begins with, if it hasn't been needed since it was made. */
  image: TableImage | undefined;
  /** Used since the last look for readers to close. */
  isRecent = false;
  /** Cursors on it: it stays open for them. */
  cursorCount = 0;
  /** Views that hold it. */
  viewCount = 0;
  rangeTombstones: RangeTombstones | undefined;
  /** Being opened without blocking. */
  opening: Promise<void> | undefined;

  constructor(meta: TableMeta) {
    this.meta = meta;
  }
}

export class TableView {
  readonly levels: Levels;
  /** Parallel to the levels' tables. */
  readonly handles: readonly (readonly TableHandle[])[];
  /** The deepest level that holds anything, plus one. */
  readonly depth: number;
  readonly hasRangeTombstones: boolean;
  /** Deletions of single keys or of ranges. */
  readonly hasDeletions: boolean;
  /** Bytes that merging level 0 would read, about; 0 if scans would gain nothing by it. */
  readonly mergeSize: number;
  /** Of all its tables, once they have been asked for. */
  rangeTombstones: RangeTombstones | undefined;
  pinCount = 1;

  constructor(levels: Levels, handles: readonly (readonly TableHandle[])[]) {
    this.levels = levels;
    this.handles = handles;
    this.depth = handles.findLastIndex((level) => level.length > 0) + 1;
    const count = levels.countOf(0);
    const isMerged = count === 0 || (count === 1 && this.depth === 1);
    this.mergeSize = isMerged ? 0 : levels.sizeOf(0) + levels.sizeOf(1);
    this.hasRangeTombstones = handles.some((level) =>
      level.some(({ meta }) => meta.rangeDeleteCount > 0),
    );
    this.hasDeletions =
      this.hasRangeTombstones ||
      handles.some((level) => level.some(({ meta }) => meta.deleteCount > 0));
  }
}

/**
 * What a block of level 0 that a scan has gone to counts as, in bytes that a merge reads. LevelDB's number for what a seek costs, and
 * its rule (`allowed_seeks`): when scans have paid for a merge, it is done.
 */
const BLOCK_CHARGE = 16 * 1024;

export interface TableSetParts {
  readonly open: (meta: TableMeta, image?: TableImage) => TableReader;
  /** The same without blocking. */
  readonly openAsync: (meta: TableMeta) => Promise<TableReader>;
  /** The table is in no view any more, and its reader is closed. */
  readonly unused: (meta: TableMeta) => void;
  /** `isScanned` has become true. */
  readonly scanned?: () => void;
}

export class TableSet {
  readonly #parts: TableSetParts;
  readonly #openCountMax: number;
  readonly #handles = new Map<number, TableHandle>();
  /** Handles with readers or images, in the order in which they are looked at for closing. */
  #opened: TableHandle[] = [];
  #hand = 0;
  #current: TableView;
  #isClosed = false;
  /** What scans have cost since level 0 last changed. */
  #charge = 0;
  #version = 0;

  constructor(parts: TableSetParts, levels: Levels, openCountMax: number) {
    this.#parts = parts;
    this.#openCountMax = openCountMax;
    this.#current = this.#makeView(levels);
  }

  get current(): TableView {
    return this.#current;
  }

  /** Grows by one whenever tables are installed. */
  get version(): number {
    return this.#version;
  }

  /** Bytes of filters and indexes in memory, of open tables and of those whose images are there. */
  get memorySize(): number {
    return this.#opened.reduce(
      (sum, { reader, image }) =>
        sum + (reader?.memorySize ?? (image === undefined ? 0 : imageMemorySize(image))),
      0,
    );
  }

  get openCount(): number {
    return this.#opened.filter(({ reader }) => reader !== undefined).length;
  }

  /** A table of a view that is current or pinned. */
  handle(number: number): TableHandle {
    const handle = this.#handles.get(number);
    assert(handle !== undefined, 'a table of a pinned view is known');
    return handle;
  }

  /** From now on reads look at these tables. `images`: of those that are new. */
  install(levels: Levels, images: readonly TableImage[] = []): void {
    const before = this.#current;
    this.#current = this.#makeView(levels);
    this.#version += 1;
    for (const image of images) {
      const handle = this.handle(image.footer.number);
      this.#makeRoom();
      handle.image = image;
      this.#opened.push(handle);
    }
    if (before.levels.tables(0) !== levels.tables(0)) {
      this.#charge = 0;
    }
    this.unpin(before);
  }

  pin(view: TableView): TableView {
    view.pinCount += 1;
    return view;
  }

  unpin(view: TableView): void {
    assert(view.pinCount > 0, 'a view is let go by those who pinned it');
    view.pinCount -= 1;
    if (view.pinCount > 0) {
      return;
    }
    for (const level of view.handles) {
      for (const handle of level) {
        this.#letGo(handle);
      }
    }
  }

  /** Scans have gone through level 0 so often, since it last changed, that merging it would have cost less. */
  get isScanned(): boolean {
    const { mergeSize } = this.#current;
    return mergeSize > 0 && this.#charge >= mergeSize;
  }

  /** A scan of `view` has gone to so many blocks of level 0. */
  chargeLevelZero(blockCount: number, view: TableView = this.#current): void {
    if (view.levels.tables(0) !== this.#current.levels.tables(0)) {
      // It says nothing about the tables that are there now.
      return;
    }
    const wasScanned = this.isScanned;
    this.#charge += blockCount * BLOCK_CHARGE;
    if (!wasScanned && this.isScanned) {
      this.#parts.scanned?.();
    }
  }

  /** The reader of a table, opened if need be. Valid until another table is opened. */
  reader(handle: TableHandle): TableReader {
    handle.isRecent = true;
    return handle.reader ?? this.#open(handle);
  }

  /** The same if nothing of the table has to be read for it. */
  readerInMemory(handle: TableHandle): TableReader | undefined {
    return handle.reader === undefined && handle.image === undefined
      ? undefined
      : this.reader(handle);
  }

  /** Opens a table of a pinned view without blocking. It stays open if the caller counts as a cursor on it. */
  async openAhead(handle: TableHandle): Promise<void> {
    if (handle.reader === undefined && handle.image === undefined) {
      handle.opening ??= this.#openAsync(handle).finally(() => {
        handle.opening = undefined;
      });
      await handle.opening;
    }
  }

  async #openAsync(handle: TableHandle): Promise<void> {
    this.checkOpen();
    const reader = await this.#parts.openAsync(handle.meta);
    assert(this.#isClosed || handle.viewCount > 0, 'who waits for a table has pinned its view');
    if (this.#isClosed || handle.reader !== undefined) {
      // Somebody who doesn't wait has opened it meanwhile, or nobody is to read it any more.
      reader.close();
      this.checkOpen();
      return;
    }
    this.#makeRoom();
    handle.reader = reader;
    handle.isRecent = true;
    this.#opened.push(handle);
  }

  /** Deleted ranges of a table. */
  rangeTombstones(handle: TableHandle): RangeTombstones {
    handle.rangeTombstones ??= RangeTombstones.from(this.reader(handle).rangeTombstones());
    return handle.rangeTombstones;
  }

  /** Deleted ranges of all tables of a view. They never change: they are put together once. */
  rangeTombstonesOf(view: TableView): RangeTombstones {
    view.rangeTombstones ??= RangeTombstones.from(
      view.handles
        .flat()
        .filter(({ meta }) => meta.rangeDeleteCount > 0)
        .flatMap((handle) => this.reader(handle).rangeTombstones()),
    );
    return view.rangeTombstones;
  }

  /** About how many bytes of tables the keys from `start` up to `end` take; undefined: to the last one. */
  sizeOf(start: Uint8Array, end: Uint8Array | undefined): number {
    const { handles, levels } = this.#current;
    let size = 0;
    for (const [level, ofLevel] of handles.entries()) {
      if (ofLevel.length === 0) {
        continue;
      }
      for (const meta of levels.overlapping(level, start, end)) {
        const isInside =
          compareKeys(start, meta.minKey) <= 0 &&
          (end === undefined || compareKeys(meta.maxKey, end) < 0);
        size += isInside
          ? meta.size
          : this.reader(this.handle(meta.number)).sizeOfRange(start, end);
      }
    }
    return size;
  }

  close(): void {
    this.#isClosed = true;
    for (const handle of this.#opened) {
      handle.reader?.close();
      handle.reader = undefined;
    }
    this.#opened = [];
  }

  #makeView(levels: Levels): TableView {
    const handles: TableHandle[][] = [];
    for (let level = 0; level < LEVEL_COUNT; level += 1) {
      handles.push(levels.tables(level).map((meta) => this.#handleOf(meta)));
    }
    return new TableView(levels, handles);
  }

  #handleOf(meta: TableMeta): TableHandle {
    let handle = this.#handles.get(meta.number);
    if (handle === undefined) {
      handle = new TableHandle(meta);
      this.#handles.set(meta.number, handle);
    }
    handle.viewCount += 1;
    return handle;
  }

  #letGo(handle: TableHandle): void {
    handle.viewCount -= 1;
    if (handle.viewCount > 0 || this.#isClosed) {
      return;
    }
    this.#handles.delete(handle.meta.number);
    if (handle.reader !== undefined || handle.image !== undefined) {
      this.#opened.splice(this.#opened.indexOf(handle), 1);
      this.#closeReader(handle);
    }
    this.#parts.unused(handle.meta);
  }

  /** For work that lasts: throws if the tables are not this store's to read any more. */
  checkOpen(): void {
    if (this.#isClosed) {
      throw closedError();
    }
  }

  #open(handle: TableHandle): TableReader {
    this.checkOpen();
    const { image } = handle;
    if (image === undefined) {
      this.#makeRoom();
    }
    const reader = this.#parts.open(handle.meta, image);
    handle.reader = reader;
    if (image === undefined) {
      this.#opened.push(handle);
    }
    handle.image = undefined;
    return reader;
  }

  #makeRoom(): void {
    if (this.#opened.length >= this.#openCountMax) {
      this.#closeOne();
    }
  }

  /** Second chance: the first one from the hand on that wasn't used since the hand last passed. All busy: none. */
  #closeOne(): void {
    for (let looked = 0; looked < 2 * this.#opened.length; looked += 1) {
      this.#hand = this.#hand >= this.#opened.length ? 0 : this.#hand;
      const handle = this.#opened[this.#hand]!;
      if (handle.cursorCount === 0 && !handle.isRecent) {
        this.#opened.splice(this.#hand, 1);
        this.#closeReader(handle);
        return;
      }
      handle.isRecent = false;
      this.#hand += 1;
    }
  }

  #closeReader(handle: TableHandle): void {
    handle.reader?.close();
    handle.reader = undefined;
    handle.image = undefined;
  }
}
