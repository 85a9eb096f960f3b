import { firstIndexWhere } from '../base/binary-search.ts';
import { CorruptionError } from '../base/errors.ts';
import { REVISION_MAX } from '../derived/format.ts';
import type { Generation } from '../derived/generation.ts';
import type { Chunk, IndexTree } from '../derived/index-tree.ts';
import type { Tail } from '../derived/tail.ts';

export interface IndexToRead {
  readonly tail: Tail;
  /** Undefined where everything is in the tail. Throws if it can't answer now. */
  readonly treeToRead: IndexTree | undefined;
}

/** Positions that are taken from the tree at once. */
const PAGE_COUNT = 512;

/**
 * Where the events of one stream are, for reads: newest ones in the tail, the others in the tree, from which they are read page by page. It
 * may be used as long as its maker likes, while the tail gets into the tree.
 */
export class StreamReader {
  readonly #index: IndexToRead;
  readonly #name: string;
  #page: readonly Chunk[] = [];

  constructor(index: IndexToRead, name: string) {
    this.#index = index;
    this.#name = name;
  }

  /** Events of the stream, visible or not. */
  count(): number {
    return this.#index.tail.find(this.#name) ? this.#index.tail.count : this.#countInTree();
  }

  /** How many of its events lie below `position`. */
  countBelow(position: number): number {
    for (const { streams, start } of this.#index.tail.newestFirst()) {
      const number = streams.find(this.#name);
      if (number === undefined) {
        continue;
      }
      const base = streams.baseOf(number);
      const below = position <= start ? 0 : streams.countBelow(number, position - start);
      if (below > 0 || base === 0) {
        return base + below;
      }
    }
    return this.#countBelowInTree(position);
  }

  /** Position of the event with this revision, which must be there. */
  positionAt(revision: number, isBackwards: boolean = false): number {
    for (const generation of this.#index.tail.newestFirst()) {
      const position = positionIn(generation, this.#name, revision);
      if (position !== undefined) {
        return position;
      }
    }
    return this.#positionInTree(revision, isBackwards);
  }

  /** From the head, if that is in memory; else from the newest chunk, which a read of the newest events needs anyway. */
  #countInTree(): number {
    const tree = this.#index.treeToRead;
    const head = tree?.headInMemory(this.#name) ?? 'absent';
    if (head === 'absent') {
      return 0;
    }
    return head === 'cold' ? this.#newest().count : head.revision + 1;
  }

  /** What the newest chunk says, read now; nothing if there is none. */
  #newest(): { readonly count: number; readonly lastPosition: number } {
    this.#page = this.#readPage(REVISION_MAX, true);
    const chunk = this.#page[0];
    return chunk === undefined
      ? { count: 0, lastPosition: -1 }
      : {
          count: chunk.firstRevision + chunk.positions.length,
          lastPosition: chunk.positions.at(-1)!,
        };
  }

  #countBelowInTree(position: number): number {
    const head = this.#index.treeToRead?.headInMemory(this.#name) ?? 'absent';
    if (head === 'absent') {
      return 0;
    }
    const { count, lastPosition } =
      head === 'cold' ? this.#newest() : { count: head.revision + 1, lastPosition: head.position };
    if (lastPosition < position) {
      return count;
    }
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const { firstRevision, positions } = this.#chunkInTree(Math.floor((low + high) / 2), true);
      if (positions[0]! >= position) {
        high = firstRevision;
      } else if (positions.at(-1)! < position) {
        low = firstRevision + positions.length;
      } else {
        return (
          firstRevision + firstIndexWhere(positions.length, (nth) => positions[nth]! >= position)
        );
      }
    }
    return low;
  }

  #positionInTree(revision: number, isBackwards: boolean): number {
    const { firstRevision, positions } = this.#chunkInTree(revision, isBackwards);
    return positions[revision - firstRevision]!;
  }

  #chunkInTree(revision: number, isBackwards: boolean): Chunk {
    let found = this.#page.find((chunk) => holds(chunk, revision));
    if (found === undefined) {
      this.#page = this.#readPage(revision, isBackwards);
      found = this.#page.find((chunk) => holds(chunk, revision));
    }
    if (found === undefined) {
      const tree = this.#index.treeToRead;
      throw new CorruptionError(
        tree?.tree.folder.directory ?? '',
        undefined,
        `it does not say where revision ${revision} of the stream ${JSON.stringify(this.#name)} is`,
      );
    }
    return found;
  }

  #readPage(revision: number, isBackwards: boolean): readonly Chunk[] {
    const page: Chunk[] = [];
    let count = 0;
    for (const chunk of this.#index.treeToRead?.chunksFrom(this.#name, revision, isBackwards) ??
      []) {
      page.push(chunk);
      count += chunk.positions.length;
      if (count >= PAGE_COUNT) {
        break;
      }
    }
    return page;
  }
}

function holds({ firstRevision, positions }: Chunk, revision: number): boolean {
  return firstRevision <= revision && revision < firstRevision + positions.length;
}

function positionIn(
  { streams, start }: Generation,
  name: string,
  revision: number,
): number | undefined {
  const number = streams.find(name);
  if (number === undefined) {
    return undefined;
  }
  const nth = revision - streams.baseOf(number);
  return nth >= 0 && nth < streams.countOf(number) ? start + streams.at(number, nth) : undefined;
}
