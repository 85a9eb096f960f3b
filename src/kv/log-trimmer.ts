import { reached } from '../base/reached.ts';
import type { FileSystem } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import { positionOfSegmentName, segmentName } from '../journal/format.ts';
import type { RecoveredSegment } from '../journal/recovery.ts';

/**
 * Gives back what the log holds and tables hold, too, a segment at a time. Removals are not synced: one that comes back is passed over by
 * the next open and removed again.
 */
export class LogTrimmer {
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  readonly #remove: (paths: readonly string[]) => void;
  /** Segments that nobody writes to any more. */
  readonly #sealed = new Set<number>();

  /** `remove` has files removed, in order. */
  constructor(
    fileSystem: FileSystem,
    directory: string,
    segments: readonly RecoveredSegment[],
    remove: (paths: readonly string[]) => void,
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

  /** Everything up to `sequence` is in tables, durably. */
  trim(sequence: number): void {
    if (this.#sealed.size === 0) {
      return;
    }
    const positions = this.#positions();
    const paths: string[] = [];
    // Order: the oldest first, so that what remains is without a gap.
    for (const [index, position] of positions.entries()) {
      const end = positions[index + 1];
      if (end === undefined || end > sequence || !this.#sealed.has(position)) {
        break;
      }
      this.#sealed.delete(position);
      paths.push(joinPath(this.#directory, segmentName(position)));
    }
    if (paths.length > 0) {
      reached('removed a segment of a log');
      this.#remove(paths);
    }
  }

  /** First positions of the segments that are there, in order. What else lies there is the next open's business. */
  #positions(): number[] {
    const positions: number[] = [];
    for (const { name } of this.#fileSystem.list(this.#directory)) {
      const position = positionOfSegmentName(name);
      if (position !== undefined) {
        positions.push(position);
      }
    }
    return positions.sort((left, right) => left - right);
  }
}
