import { reached } from '../../base/reached.ts';
import type { FileSystem } from '../../io/file-system.ts';
import { joinPath } from '../../io/path.ts';
import { positionOfSegmentName, segmentName } from '../../journal/format.ts';
import type { RecoveredSegment } from '../../journal/recovery.ts';

/** Has files removed, in order, none behind one that can't be, and says whether all are. */
export type FileRemoval = (paths: readonly string[], over?: (isDone: boolean) => void) => void;

/**
 * Deletes log segments whose entries are all in tables. Removals are not synced: one that comes back is passed over by
 * the next open and removed again. One that fails is tried again with the next flush.
 */
export class LogTrimmer {
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  readonly #remove: FileRemoval;
  /** Segments that nobody writes to any more. */
  readonly #sealed = new Set<number>();
  /** Everything below this position is in tables, durably. */
  #flushed = 0;
  /** Segments are being removed. */
  #isRemoving = false;

  constructor(
    fileSystem: FileSystem,
    directory: string,
    segments: readonly RecoveredSegment[],
    remove: FileRemoval,
  ) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    this.#remove = remove;
    const first = segments[0]?.header.firstPosition ?? 0;
    for (const position of this.#positions()) {
      if (position < first) {
        // A power cut brought it back.
        this.#sealed.add(position);
      }
    }
    for (const { header, isSealed } of segments) {
      if (isSealed) {
        this.#sealed.add(header.firstPosition);
      }
    }
  }

  /** A segment is full and has its footer. */
  sealed(firstPosition: number): void {
    this.#sealed.add(firstPosition);
  }

  /** Everything below position `end` is in tables, durably. */
  trim(end: number): void {
    this.#flushed = Math.max(this.#flushed, end);
    // Order: a newer segment waits for the removal of an older one, so that what remains is without a gap.
    if (this.#sealed.size === 0 || this.#isRemoving) {
      return;
    }
    const removable = this.#removable();
    if (removable.length > 0) {
      reached('removed a segment of a log');
      this.#isRemoving = true;
      const paths = removable.map((position) => joinPath(this.#directory, segmentName(position)));
      this.#remove(paths, (isDone) => this.#removed(removable, isDone));
    }
  }

  #removed(positions: readonly number[], isDone: boolean): void {
    this.#isRemoving = false;
    if (isDone) {
      for (const position of positions) {
        this.#sealed.delete(position);
      }
      this.trim(this.#flushed);
    }
  }

  /** The oldest segments, as far as nothing of them is needed. */
  #removable(): readonly number[] {
    const positions = this.#positions();
    const needed = positions.findIndex((position, index) => {
      const end = positions[index + 1];
      // The last frame that is in tables stays, too: the next open knows the log by it.
      return end === undefined || end >= this.#flushed || !this.#sealed.has(position);
    });
    return positions.slice(0, Math.max(0, needed));
  }

  /** First positions of the segments that are there, in order. What else lies there is the next open's business. */
  #positions(): number[] {
    const positions: number[] = [];
    try {
      for (const { name } of this.#fileSystem.list(this.#directory)) {
        const position = positionOfSegmentName(name);
        if (position !== undefined) {
          positions.push(position);
        }
      }
    } catch {
      // Segments only take space: no flush fails for that.
      return [];
    }
    return positions.sort((left, right) => left - right);
  }
}
