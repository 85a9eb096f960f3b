import { reached } from '../base/reached.ts';
import type { FileSystem } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import { segmentName } from '../journal/format.ts';
import { listSegments, type RecoveredSegment } from '../journal/recovery.ts';

/**
 * Gives back what the log holds and tables hold, too, a segment at a time. Removals are not synced: one that comes back is passed over by
 * the next open and removed again.
 */
export class LogTrimmer {
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  /** Segments that nobody writes to any more. */
  readonly #sealed = new Set<number>();

  constructor(fileSystem: FileSystem, directory: string, segments: readonly RecoveredSegment[]) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    const first = segments[0]?.header.firstPosition ?? 0;
    for (const position of listSegments(fileSystem, directory)) {
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
    try {
      const positions = listSegments(this.#fileSystem, this.#directory);
      // Order: the oldest first, so that what remains is without a gap.
      for (const [index, position] of positions.entries()) {
        const end = positions[index + 1];
        if (end === undefined || end > sequence) {
          return;
        }
        if (!this.#sealed.has(position)) {
          return;
        }
        this.#fileSystem.remove(joinPath(this.#directory, segmentName(position)));
        this.#sealed.delete(position);
        reached('removed a segment of a log');
      }
    } catch {
      // It only takes space; the next flush tries again.
      reached('could not remove a segment of a log');
    }
  }
}
