import { assert } from '../base/assert.ts';
import type { SeededRandom } from '../base/random.ts';
import { PageHistory } from './page-history.ts';
import {
  allSectors,
  cutPage,
  digestOfPage,
  flippedPage,
  pageSize,
  patchedPage,
  sectorsOf,
  zeroPage,
} from './simulated-pages.ts';
import type { Page } from './simulated-pages.ts';

/** What a power cut leaves of everything that is not durable. */
export interface CrashChoice {
  readonly keep: 'none' | 'all' | 'random';
  /** Bytes that the disk writes whole or not at all. */
  readonly sector: 512 | 4096;
  /** Un-synced directory changes: a prefix of them survives, as with a journal, or any of them. */
  readonly directory: 'ordered' | 'any';
}

/**
 * The content of one simulated file: the current one, as readers see it, and what is known of it on the disk.
 * `sequence` orders changes and syncs: a sync covers the changes that were issued before it.
 */
export class SimulatedInode {
  readonly kind = 'file';
  /** Undefined is a hole: never written, takes no space. Bytes behind the size are zeros. */
  #pages: (Page | undefined)[] = [];
  #size = 0;
  /** Of the pages whose current content isn't durable. */
  readonly #histories = new Map<number, PageHistory>();
  #durableSize = 0;
  #sizeChanges: { readonly sequence: number; readonly size: number }[] = [];

  get size(): number {
    return this.#size;
  }

  /** Bytes on the disk, holes left out. */
  get allocatedSize(): number {
    const count = this.#pages.reduce((sum, page) => sum + (page === undefined ? 0 : 1), 0);
    const behindTail = pageSize - (this.#size % pageSize || pageSize);
    const hasTail = this.#pages[Math.ceil(this.#size / pageSize) - 1] !== undefined;
    return count * pageSize - (hasTail ? behindTail : 0);
  }

  /** False if a power cut could change the content. */
  get isDurable(): boolean {
    return this.#histories.size === 0 && this.#sizeChanges.length === 0;
  }

  read(target: Uint8Array, offset: number): number {
    const count = Math.max(0, Math.min(target.length, this.#size - offset));
    for (const part of partsOf(offset, count)) {
      const page = this.#pages[part.index] ?? zeroPage;
      target.set(page.subarray(part.start, part.end), part.from);
    }
    return count;
  }

  write(source: Uint8Array, offset: number, sequence: number): void {
    for (const { index, start, end, from } of partsOf(offset, source.length)) {
      const bytes = source.subarray(from, from + end - start);
      const page = patchedPage(this.#pages[index] ?? zeroPage, start, bytes);
      this.#setPage(index, page, sectorsOf(start, end), sequence);
    }
    if (source.length > 0) {
      this.#setSize(Math.max(this.#size, offset + source.length), sequence);
    }
  }

  /** How much of a write of `size` bytes fits if the file may take `room` bytes more. */
  fittingSize(offset: number, size: number, room: number): number {
    if (this.#growth(offset, size) <= Math.max(0, room)) {
      return size;
    }
    let fits = 0;
    for (let excess = size; excess - fits > 1;) {
      const middle = Math.floor((fits + excess) / 2);
      if (this.#growth(offset, middle) <= room) {
        fits = middle;
      } else {
        excess = middle;
      }
    }
    return fits;
  }

  truncate(size: number, sequence: number): void {
    const index = Math.floor(size / pageSize);
    const start = size % pageSize;
    const tail = this.#pages[index];
    if (start > 0 && tail !== undefined && size < this.#size) {
      this.#setPage(index, cutPage(tail, start), sectorsOf(start, pageSize), sequence);
    }
    const pageCount = Math.ceil(size / pageSize);
    for (let behind = pageCount; behind < this.#pages.length; behind += 1) {
      this.#setPage(behind, zeroPage, allSectors, sequence);
    }
    this.#pages.length = Math.min(this.#pages.length, pageCount);
    this.#setSize(size, sequence);
  }

  /** Makes everything issued before `sequence` durable, but for what is in limbo. */
  sync(sequence: number): void {
    for (const [index, history] of this.#histories) {
      history.settle(sequence);
      if (history.isSettled) {
        this.#histories.delete(index);
      }
    }
    const covered = this.#sizeChanges.filter((change) => change.sequence <= sequence);
    this.#durableSize = covered.at(-1)?.size ?? this.#durableSize;
    this.#sizeChanges.splice(0, covered.length);
  }

  /** A sync that failed: no later one makes these changes durable. */
  failSync(sequence: number): void {
    for (const history of this.#histories.values()) {
      history.abandon(sequence);
    }
  }

  /** What a power cut now could leave. All of it is durable in the copy. */
  crashCopy(random: SeededRandom, choice: CrashChoice): SimulatedInode {
    const copy = new SimulatedInode();
    copy.#pages = this.#pages.slice();
    if (choice.keep !== 'all') {
      // Drawn per file: with one even chance for every sector a long write would never survive whole, nor vanish whole.
      const keep = choice.keep === 'none' || this.isDurable ? 0 : random.pick([0.5, 0.5, 0.1, 0.9]);
      for (const [index, history] of this.#histories) {
        const isKept = choice.keep === 'random';
        copy.#putPage(
          index,
          isKept ? history.afterCrash(random, keep, choice.sector) : history.durable,
        );
      }
    }
    copy.#size = this.#sizeAfterCrash(random, choice);
    copy.#durableSize = copy.#size;
    copy.#cutPages();
    return copy;
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(this.#size);
    this.#pages.forEach((page, index) => {
      if (page !== undefined && page !== zeroPage) {
        bytes.set(page.subarray(0, this.#size - index * pageSize), index * pageSize);
      }
    });
    return bytes;
  }

  /** Replaces the content, durably and at once. */
  replace(bytes: Uint8Array): void {
    this.#pages = [];
    this.#size = 0;
    this.write(bytes, 0, 0);
    this.#histories.clear();
    this.#sizeChanges = [];
    this.#durableSize = this.#size;
  }

  /** Flips a bit on the medium: in the current content and in all that it could fall back to. */
  flipBit(offset: number, bit: number): void {
    assert(offset >= 0 && offset < this.#size, 'a flipped bit is inside the file');
    assert(bit >= 0 && bit < 8, 'a byte has eight bits');
    const index = Math.floor(offset / pageSize);
    const flip = (page: Page): Page => flippedPage(page, offset % pageSize, bit);
    this.#putPage(index, flip(this.#pages[index] ?? zeroPage));
    this.#histories.get(index)?.damage(flip);
  }

  /** Equal for equal contents. */
  digest(): string {
    const pageCount = Math.ceil(this.#size / pageSize);
    const parts = [String(this.#size)];
    for (let index = 0; index < pageCount; index += 1) {
      const page = this.#pages[index] ?? zeroPage;
      parts.push(page === zeroPage ? '0' : digestOfPage(page));
    }
    return parts.join(' ');
  }

  /** More bytes on the disk after a write of `size` bytes. */
  #growth(offset: number, size: number): number {
    let growth = 0;
    for (const { index, end } of partsOf(offset, size)) {
      const isHole = this.#pages[index] === undefined;
      const before = isHole ? 0 : Math.min(pageSize, this.#size - index * pageSize);
      growth += Math.max(0, end - before);
    }
    return growth;
  }

  #setPage(index: number, page: Page, sectors: number, sequence: number): void {
    const before = this.#pages[index] ?? zeroPage;
    this.#putPage(index, page);
    let history = this.#histories.get(index);
    if (history === undefined) {
      if (page === before) {
        return;
      }
      history = new PageHistory(before);
      this.#histories.set(index, history);
    }
    history.add(sequence, page, sectors);
  }

  #putPage(index: number, page: Page): void {
    while (this.#pages.length < index) {
      this.#pages.push(undefined);
    }
    this.#pages[index] = page;
  }

  #setSize(size: number, sequence: number): void {
    if (size !== this.#size) {
      this.#size = size;
      this.#sizeChanges.push({ sequence, size });
    }
  }

  #sizeAfterCrash(random: SeededRandom, choice: CrashChoice): number {
    if (choice.keep === 'all' || this.#sizeChanges.length === 0) {
      return this.#size;
    }
    if (choice.keep === 'none') {
      return this.#durableSize;
    }
    const sizes = [this.#durableSize, ...this.#sizeChanges.map((change) => change.size)];
    const least = Math.ceil(Math.min(...sizes) / choice.sector);
    const most = Math.floor(Math.max(...sizes) / choice.sector);
    const between =
      least > most ? this.#size : (least + random.below(most - least + 1)) * choice.sector;
    return random.pick([this.#durableSize, this.#size, between, random.pick(sizes)]);
  }

  #cutPages(): void {
    const pageCount = Math.ceil(this.#size / pageSize);
    this.#pages.length = Math.min(this.#pages.length, pageCount);
    const tail = this.#pages[pageCount - 1];
    if (tail !== undefined && this.#size % pageSize > 0) {
      this.#pages[pageCount - 1] = cutPage(tail, this.#size % pageSize);
    }
  }
}

interface PagePart {
  readonly index: number;
  /** In the page. */
  readonly start: number;
  readonly end: number;
  /** Where the part begins in the whole. */
  readonly from: number;
}

function partsOf(offset: number, size: number): PagePart[] {
  const parts: PagePart[] = [];
  for (let from = 0; from < size;) {
    const start = (offset + from) % pageSize;
    const end = Math.min(pageSize, start + size - from);
    parts.push({ index: Math.floor((offset + from) / pageSize), start, end, from });
    from += end - start;
  }
  return parts;
}
