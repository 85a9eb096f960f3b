/**
 * Brings an older backup up to date: what is equal stays, frames and segments that are new are added. After each step the copy opens, and holds the old
 * backup's events or more of the new one's:
 *
 *   1  the newest segment is replaced by its frames as they are now    by way of `spare`, which every open removes
 *   2  the next segment gets its name, with its frames only            a footer says that a successor exists
 *   3  the one before it gets its footer, in place, as a sealer does it; then the next, and so on
 *   4  the tail
 */
import { VarveError } from '../base/errors.ts';
import { reached } from '../base/reached.ts';
import { removeIfThere, replaceFile } from '../io/atomic-file.ts';
import { copyFile } from '../io/backup-target.ts';
import { copyContent, isSameContent } from '../io/copy-file.ts';
import type { FileSystem } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import { encodeTail, segmentName } from '../journal/format.ts';
import { SPARE_NAME, TAIL_NAME } from '../journal/names.ts';
import { readJournal, type RecoveredSegment } from '../journal/recovery.ts';
import { isWhole, readFooter, sameBytes } from '../journal/segment-info.ts';
import { readSegmentHeader } from '../journal/segment-scan.ts';
import type { EventLog, SegmentSummaryInfo } from '../log/event-log.ts';
import { LogEncoder } from '../log/log-encoder.ts';

export interface UpdateParts {
  readonly fileSystem: FileSystem;
  readonly log: EventLog;
  readonly identity: Uint8Array;
  /** Folder of the backup's log. */
  readonly target: string;
  /** Awaited between pieces. */
  readonly between: () => Promise<void>;
}

/** A segment of the store, as far as it is to be copied. */
interface Extent {
  readonly path: string;
  readonly firstPosition: number;
  readonly framesEnd: number;
  /** Of the file, if its footer is to be copied, too. */
  readonly size: number | undefined;
}

export class BackupUpdate {
  readonly #parts: UpdateParts;
  readonly #extents: readonly Extent[];
  readonly #end: number;
  /** The first segment whose frames have to be copied. */
  #firstNew = 0;
  /** Indexes of segments that are there, and have no footer. */
  readonly #unsealed = new Set<number>();
  #isTailExact = false;

  /** `segments`: of the store, up to the position `end`. */
  constructor(parts: UpdateParts, segments: readonly SegmentSummaryInfo[], end: number) {
    this.#parts = parts;
    this.#end = end;
    this.#extents = segments.map((segment, index) =>
      extentOf(parts, segment, segments[index + 1]?.firstPosition, end),
    );
  }

  /** Compares, and changes nothing. Throws `INVALID_ARGUMENT` for what is no older backup of this log, `CORRUPT` for one that is damaged. */
  async compare(): Promise<void> {
    const { fileSystem, target: directory, identity } = this.#parts;
    const encoder = new LogEncoder();
    const place = { fileSystem, directory, identity, encoder, passesSealed: true };
    const { segments, end, recovery } = readJournal(place);
    if (recovery.torn !== undefined) {
      throw this.#refusal('was opened since and not closed');
    }
    if (end.position > this.#end || segments.length > this.#extents.length) {
      throw this.#refusal('holds events that the store does not hold');
    }
    for (const [index, segment] of segments.entries()) {
      const isNewest = index === segments.length - 1;
      await this.#compareSegment(segment, this.#extents[index]!, isNewest);
      if (!segment.isSealed) {
        this.#unsealed.add(index);
      }
    }
    const newest = segments.at(-1)!;
    const hasAll = newest.framesEnd === this.#extents[segments.length - 1]!.framesEnd;
    this.#firstNew = segments.length - (hasAll ? 0 : 1);
    this.#isTailExact = end.position === this.#end && recovery.tail === 'exact';
  }

  /** Returns how many bytes came new. */
  async run(): Promise<number> {
    const { fileSystem, target, identity } = this.#parts;
    let size = 0;
    if (removeIfThere(fileSystem, joinPath(target, SPARE_NAME))) {
      fileSystem.syncDirectory(target);
    }
    for (const [index, extent] of this.#extents.entries()) {
      const isNew = index >= this.#firstNew;
      if (isNew) {
        await this.#addFrames(extent);
        size += extent.framesEnd;
      }
      // Order: its successor is there before it has a footer.
      if (index - 1 >= this.#firstNew || this.#unsealed.has(index - 1)) {
        size += await this.#addFooter(this.#extents[index - 1]!);
      }
    }
    if (!this.#isTailExact) {
      const segment = this.#extents.at(-1)!.firstPosition;
      const tail = encodeTail({ identity, segment, durable: this.#end });
      replaceFile(fileSystem, target, TAIL_NAME, tail);
    }
    reached('brought a backup up to date');
    return size;
  }

  async #compareSegment(held: RecoveredSegment, extent: Extent, isNewest: boolean): Promise<void> {
    const { fileSystem, log, identity } = this.#parts;
    const { firstPosition } = held.header;
    if (firstPosition !== extent.firstPosition) {
      throw this.#diverged(firstPosition);
    }
    const header = readSegmentHeader(fileSystem, log.directory, firstPosition, identity);
    const isLongEnough = isNewest
      ? held.framesEnd <= extent.framesEnd
      : held.framesEnd === extent.framesEnd;
    if (!sameBytes(header.salt, held.header.salt) || !isLongEnough) {
      throw this.#diverged(firstPosition);
    }
    if (held.isSealed && extent.size !== undefined) {
      // Salt and digest stand for everything in a full segment.
      if (!this.#haveSameFooters(held, extent)) {
        throw this.#diverged(firstPosition);
      }
      return;
    }
    if (!(await this.#haveSameFrames(held, extent))) {
      throw this.#diverged(firstPosition);
    }
  }

  #haveSameFooters({ path, header }: RecoveredSegment, extent: Extent): boolean {
    const { fileSystem } = this.#parts;
    const [one, other] = [path, extent.path].map((each) => {
      const file = fileSystem.open(each, 'read');
      try {
        return { footer: readFooter(file, header), size: file.size() };
      } finally {
        file.close();
      }
    });
    return (
      isWhole(one!.footer) &&
      isWhole(other!.footer) &&
      one!.size === other!.size &&
      sameBytes(one!.footer.footer.digest, other!.footer.footer.digest)
    );
  }

  async #haveSameFrames(held: RecoveredSegment, extent: Extent): Promise<boolean> {
    const { fileSystem, between } = this.#parts;
    const one = fileSystem.open(held.path, 'read');
    try {
      const other = fileSystem.open(extent.path, 'read');
      try {
        return await isSameContent(one, other, held.framesEnd, between);
      } finally {
        other.close();
      }
    } finally {
      one.close();
    }
  }

  async #addFrames({ path, firstPosition, framesEnd }: Extent): Promise<void> {
    const { fileSystem, target, between } = this.#parts;
    const spare = joinPath(target, SPARE_NAME);
    await copyFile(fileSystem, path, spare, framesEnd, between);
    // Order: what it holds is durable before it has the name, and has it before the next one.
    fileSystem.rename(spare, joinPath(target, segmentName(firstPosition)));
    fileSystem.syncDirectory(target);
  }

  /** Its successor is there. Without one the copy's first open makes the same footer. */
  async #addFooter({ path, firstPosition, framesEnd, size }: Extent): Promise<number> {
    if (size === undefined) {
      return 0;
    }
    const { fileSystem, target, between } = this.#parts;
    const source = fileSystem.open(path, 'read');
    try {
      const file = fileSystem.open(joinPath(target, segmentName(firstPosition)), 'write');
      try {
        await copyContent(source, file, size, between, framesEnd);
        file.truncate(size);
        await file.syncAsync();
      } finally {
        file.close();
      }
    } finally {
      source.close();
    }
    return size - framesEnd;
  }

  #diverged(position: number): VarveError {
    return this.#refusal(
      `and the store have gone different ways, in the segment that begins with position ${position}`,
    );
  }

  #refusal(reason: string): VarveError {
    const folder = joinPath(this.#parts.target, '..');
    return new VarveError('INVALID_ARGUMENT', `${folder} ${reason}: back up into a new folder.`, {
      details: { directory: folder },
    });
  }
}

function extentOf(
  { fileSystem, log, identity }: UpdateParts,
  { path, firstPosition, isSealed }: SegmentSummaryInfo,
  successor: number | undefined,
  end: number,
): Extent {
  if (isSealed && successor !== undefined) {
    const header = readSegmentHeader(fileSystem, log.directory, firstPosition, identity);
    const file = fileSystem.open(path, 'read');
    try {
      const found = readFooter(file, header);
      if (isWhole(found)) {
        return { path, firstPosition, framesEnd: found.footer.framesEnd, size: file.size() };
      }
    } finally {
      file.close();
    }
  }
  const { end: framesEnd } = log.durableEnd(Math.min(successor ?? end, end));
  return { path, firstPosition, framesEnd, size: undefined };
}
