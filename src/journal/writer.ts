/**
 * Makes frames durable: takes them from the lane, has the encoder finish them, frames them, writes each batch with one
 * write and one sync, and keeps zeroed space ready ahead of the tail. Knows nothing of threads or of what frames mean.
 *
 * Where a frame goes is a pure function of frame sizes (SegmentCursor), so owner and writer agree without talking. The
 * owner hands over a frame only when the space for it was reported prepared.
 */
import { assert } from '../base/assert.ts';
import { isNoSpace } from '../base/errors.ts';
import { replaceFile } from '../io/atomic-file.ts';
import type { File, FileSystem } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import { reached } from '../base/reached.ts';
import { type DiskWork, writeAll } from './disk-request.ts';
import type { FrameBody, FrameEncoder } from './encoder.ts';
import {
  blankFrameHeader,
  encodeFrame,
  encodeSegmentHeader,
  encodeTail,
  FRAME_HEADER_SIZE,
  type FrameHeader,
  frameSizeOf,
  PlaceTag,
  segmentHeaderCrc,
  segmentName,
} from './format.ts';
import type { Arena, Lane } from './lane.ts';
import { SPARE_NAME, TAIL_NAME } from './names.ts';
import { OffsetTable } from './offset-table.ts';
import type { JournalSettings } from './options.ts';
import { SegmentCursor, segmentCapacity } from './segment-cursor.ts';
import { sealSegment, type SealableSegment } from './segment-sealer.ts';
import { SpacePreparer } from './space-preparer.ts';

/** Offset in a frame's unwritten header where the owner leaves the salt of the segment that the frame opens. */
export const SALT_IN_FRAME = 16;

/** Steps of zeros between two batches: about 4 ms. */
const PREPARE_STEPS_MAX = 4;

/** What the writer has to say. In one thread these are calls, between threads they are shared words. */
export interface WriterReports {
  /** Segment `index` has zeroed, durable space up to `size`. */
  prepared(index: number, size: number): void;
  /** There is no space to prepare; nothing was lost. */
  noSpace(cause: unknown): void;
  /** Everything below `position` is in the file. */
  written(position: number): void;
  /** Everything below `position` survives a power cut. */
  durable(position: number): void;
  /** Frames from now on go to the segment that begins with `firstPosition`. */
  rotated(firstPosition: number): void;
  /** The segment has its footer; reads of it need no table in memory. */
  sealed(firstPosition: number): void;
  /** Writing has ended. Commits that begin below `unknownBelow` may or may not be on disk, others surely aren't. */
  failed(cause: unknown, unknownBelow: number): void;
  /** A derived file could not be written. Nothing is lost by it. */
  derivedFailed(what: string, cause: unknown): void;
}

/** The state of the newest segment that a writer carries on from. */
export interface ActiveSegment {
  readonly file: File;
  readonly index: number;
  readonly firstPosition: number;
  readonly salt: Uint8Array;
  readonly offset: number;
  readonly position: number;
  readonly link: number;
  readonly frameCount: number;
  readonly offsets: OffsetTable;
  /** `durable` of the tail file as it stands. */
  readonly tailDurable: number;
}

export interface WriterParts {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly identity: Uint8Array;
  readonly encoder: FrameEncoder;
}

export class JournalWriter {
  readonly #parts: WriterParts;
  readonly #lane: Lane;
  readonly #reports: WriterReports;
  readonly #settings: JournalSettings;
  readonly #cursor: SegmentCursor;
  readonly #space: SpacePreparer;
  readonly #sealing: SealableSegment[] = [];
  readonly #header: FrameHeader;
  readonly #body: FrameBody;

  #segment: { file: File; firstPosition: number; salt: Uint8Array; frameCount: number };
  #offsets: OffsetTable;
  #tag: PlaceTag;
  #position: number;
  #durable: number;
  #tailDurable: number;
  #link: number;
  #wanted = { index: 0, size: 0 };
  #tailWanted = false;
  #hasFailed = false;

  constructor(
    parts: WriterParts,
    lane: Lane,
    reports: WriterReports,
    settings: JournalSettings,
    active: ActiveSegment,
  ) {
    this.#parts = parts;
    this.#lane = lane;
    this.#reports = reports;
    this.#settings = settings;
    this.#cursor = new SegmentCursor(active.index, active.offset, settings.segmentSizeMax);
    this.#segment = {
      file: active.file,
      firstPosition: active.firstPosition,
      salt: active.salt,
      frameCount: active.frameCount,
    };
    this.#offsets = active.offsets;
    this.#tag = new PlaceTag(active.salt);
    this.#position = active.position;
    this.#durable = active.position;
    this.#tailDurable = active.tailDurable;
    this.#link = active.link;
    this.#space = new SpacePreparer(parts, active.file, active.offset);
    this.#header = blankFrameHeader();
    const none = Buffer.alloc(0);
    this.#body = {
      bytes: none,
      view: new DataView(none.buffer, none.byteOffset, 0),
      start: 0,
      size: 0,
      firstPosition: 0,
      count: 0,
      fileOffset: 0,
    };
  }

  /** Asks for space: the owner has a frame that needs segment `index` prepared up to `size`. */
  wantSpace(index: number, size: number): void {
    this.#wanted = { index, size };
  }

  /** Asks for the tail file to be brought up to date when there is nothing better to do. */
  wantTail(): void {
    this.#tailWanted = true;
  }

  get hasSpaceTrouble(): boolean {
    return this.#space.hasSpaceTrouble;
  }

  get tailIsStale(): boolean {
    return this.#tailDurable < this.#durable;
  }

  /** Does one piece of work: a batch if frames wait, else space, footers, the tail. 'idle' if there was nothing to do. */
  *step(): DiskWork<'idle' | 'wrote'> {
    if (this.#hasFailed) {
      return 'idle';
    }
    if (this.#sealing.length > 1) {
      yield* this.#sealOne();
    }
    const hasPrepared = yield* this.#prepareAhead();
    const arena = this.#lane.take();
    if (arena !== undefined) {
      this.#space.noteBatch(arena.used);
      yield* this.#writeArena(arena);
      this.#lane.release(arena);
      return 'wrote';
    }
    if (hasPrepared) {
      return 'wrote';
    }
    if (this.#sealing.length > 0) {
      yield* this.#sealOne();
      return 'wrote';
    }
    if (this.#tailWanted) {
      this.#tailWanted = false;
      this.#replaceTail();
      return 'wrote';
    }
    return 'idle';
  }

  /** Leaves the folder at rest: zeros cut off, tail exact, no spare. Call it once, when nothing is in flight. */
  *close(): DiskWork<void> {
    try {
      if (!this.#hasFailed) {
        yield* this.#leaveAtRest();
      }
    } finally {
      this.#closeFiles();
    }
  }

  /** Ends writing: nothing more is taken from the lane. */
  stop(): void {
    this.#hasFailed = true;
  }

  *#leaveAtRest(): DiskWork<void> {
    while (this.#sealing.length > 0) {
      yield* this.#sealOne();
    }
    const { file } = this.#segment;
    file.truncate(this.#cursor.offset);
    yield { operation: 'sync', file };
    this.#replaceTail();
    this.#space.removeSpare();
    this.#parts.fileSystem.syncDirectory(this.#parts.directory);
  }

  #closeFiles(): void {
    this.#segment.file.close();
    this.#space.close();
    for (const segment of this.#sealing) {
      segment.file.close();
    }
    this.#sealing.length = 0;
  }

  *#writeArena(arena: Arena): DiskWork<void> {
    let at = 0;
    while (at < arena.used && !this.#hasFailed) {
      at = yield* this.#writeRun(arena, at);
    }
  }

  /** Writes and syncs the frames from `start` on that share a segment; returns where they end in the arena. */
  *#writeRun(arena: Arena, start: number): DiskWork<number> {
    const firstSize = frameSizeOf(arena.view.getUint32(start + 8, true));
    if (this.#cursor.rotatesFor(firstSize)) {
      try {
        // The owner drew the new segment's salt and left it where the frame's header will be.
        yield* this.#rotate(
          new Uint8Array(arena.bytes.subarray(start + SALT_IN_FRAME, start + SALT_IN_FRAME + 16)),
        );
      } catch (error) {
        // Nothing of these frames has been near the disk.
        this.#fail(error, this.#position);
        return arena.used;
      }
    }
    const { file } = this.#segment;
    const runOffset = this.#cursor.offset;
    const runEnd = this.#finishFrames(arena, start);
    const run = arena.bytes.subarray(start, runEnd);
    try {
      yield* writeAll(file, run, runOffset);
    } catch (error) {
      yield* this.#takeBack(file, runOffset, run.length, error);
      return arena.used;
    }
    this.#reports.written(this.#position);
    try {
      yield { operation: 'sync', file };
    } catch (error) {
      reached('sync failed');
      // Order: never synced again: after a failed sync the kernel may call lost pages clean.
      this.#fail(error, this.#position);
      return arena.used;
    }
    this.#durable = this.#position;
    this.#reports.durable(this.#position);
    return runEnd;
  }

  /** Completes and frames everything that goes to the current segment, in place. */
  #finishFrames(arena: Arena, start: number): number {
    const { bytes, view } = arena;
    let at = start;
    while (at < arena.used) {
      const bodySize = view.getUint32(at + 8, true);
      const size = frameSizeOf(bodySize);
      if (at > start && this.#cursor.rotatesFor(size)) {
        break;
      }
      const count = view.getUint32(at + 12, true);
      const fileOffset = this.#cursor.offset;
      const body = this.#body;
      body.bytes = bytes;
      body.view = view;
      body.start = at + FRAME_HEADER_SIZE;
      body.size = bodySize;
      body.firstPosition = this.#position;
      body.count = count;
      body.fileOffset = fileOffset + FRAME_HEADER_SIZE;
      this.#parts.encoder.complete(body, this.#offsets);
      const header = this.#header;
      header.bodySize = bodySize;
      header.count = count;
      header.firstPosition = this.#position;
      header.durable = this.#durable;
      header.link = this.#link;
      this.#tag.compute(fileOffset);
      this.#link = encodeFrame(bytes, view, at, header, this.#tag);
      this.#cursor.advance(size);
      this.#position += count;
      this.#segment.frameCount += 1;
      at += size;
    }
    return at;
  }

  /** After a failed write: overwrites what may have arrived with zeros, so that it can't come back after a crash. */
  *#takeBack(file: File, offset: number, size: number, cause: unknown): DiskWork<void> {
    const unknownBelow = this.#position;
    try {
      yield* writeAll(file, new Uint8Array(size), offset);
      yield { operation: 'sync', file };
    } catch {
      // The first cause is the one worth telling; this one only makes the outcome unknown.
      reached('write failed and could not be taken back');
      this.#fail(cause, unknownBelow);
      return;
    }
    reached('write failed and was taken back');
    this.#fail(cause, this.#durable);
  }

  #fail(cause: unknown, unknownBelow: number): void {
    this.#hasFailed = true;
    this.#reports.failed(cause, unknownBelow);
  }

  *#rotate(salt: Uint8Array): DiskWork<void> {
    assert(this.#durable === this.#position, 'every frame of a segment is durable before the next');
    const { fileSystem, directory, identity } = this.#parts;
    const index = this.#cursor.index + 1;
    const firstPosition = this.#position;
    const header = { identity, salt, index, firstPosition, link: this.#link };
    const spare = this.#space.takeSpare();
    yield* writeAll(spare, encodeSegmentHeader(header), 0);
    // Order: the header is durable before the name, the name before the tail file and the first frame.
    yield { operation: 'sync', file: spare };
    const path = joinPath(directory, segmentName(firstPosition));
    fileSystem.rename(joinPath(directory, SPARE_NAME), path);
    fileSystem.syncDirectory(directory);
    this.#sealing.push({
      ...this.#segment,
      offsets: this.#offsets,
      framesEnd: this.#cursor.offset,
      lastLink: this.#link,
      summary: this.#parts.encoder.sealSegment(),
    });
    this.#segment = { file: spare, firstPosition, salt, frameCount: 0 };
    this.#offsets = new OffsetTable();
    this.#tag = new PlaceTag(salt);
    this.#link = segmentHeaderCrc(header);
    this.#cursor.rotate();
    this.#replaceTail();
    this.#reports.rotated(firstPosition);
    reached('rotated');
  }

  *#sealOne(): DiskWork<void> {
    const segment = this.#sealing.shift();
    assert(segment !== undefined, 'a segment waits to be sealed');
    try {
      yield* sealSegment(segment);
      this.#reports.sealed(segment.firstPosition);
    } catch (error) {
      // The next open seals it.
      this.#reports.derivedFailed('the footer of a full segment', error);
    } finally {
      segment.file.close();
    }
  }

  #replaceTail(): void {
    const { fileSystem, directory, identity } = this.#parts;
    const durable = this.#durable;
    try {
      const tail = { identity, segment: this.#segment.firstPosition, durable };
      replaceFile(fileSystem, directory, TAIL_NAME, encodeTail(tail));
      this.#tailDurable = durable;
    } catch (error) {
      // An older tail is a weaker bound, not a wrong one.
      this.#reports.derivedFailed('the tail file', error);
      this.#tailDurable = durable;
    }
  }

  /** Before a batch, too: if space ran out, everybody would wait for it. A bounded number of steps, for the batch waits. */
  *#prepareAhead(): DiskWork<boolean> {
    let count = 0;
    while (count < PREPARE_STEPS_MAX && (yield* this.#prepareSpace())) {
      count += 1;
    }
    return count > 0;
  }

  /** Zeroes one more step where it is needed most; true if it did something. */
  *#prepareSpace(): DiskWork<boolean> {
    const target = this.#spaceTarget();
    if (target === undefined) {
      return false;
    }
    const isSpare = target.index > this.#cursor.index;
    let size: number;
    try {
      size = yield* this.#space.step(isSpare, target.size);
    } catch (error) {
      this.#wanted = { index: 0, size: 0 };
      if (isNoSpace(error)) {
        reached('no space to prepare');
        this.#reports.noSpace(error);
        return false;
      }
      this.#fail(error, this.#durable);
      return true;
    }
    this.#reports.prepared(target.index, size);
    return true;
  }

  /** Where the next step of zeros goes. What is prepared ahead is topped up in whole steps, when half of it is used. */
  #spaceTarget(): { index: number; size: number } | undefined {
    const { index, offset, capacity } = this.#cursor;
    const space = this.#space;
    const wanted = this.#wanted;
    const wantedActive = wanted.index === index ? wanted.size : 0;
    const wantedSpare = wanted.index === index + 1 ? wanted.size : 0;
    const { aheadSize } = space;
    const activeSize = Math.max(wantedActive, Math.min(capacity, offset + aheadSize));
    if (wantedActive > space.preparedActive) {
      return { index, size: activeSize };
    }
    const spareCapacity = segmentCapacity(index + 1, this.#settings.segmentSizeMax);
    const spareSize = Math.max(wantedSpare, Math.min(spareCapacity, aheadSize));
    if (wantedSpare > space.preparedSpare) {
      return { index: index + 1, size: spareSize };
    }
    if (space.hasSpaceTrouble) {
      return undefined;
    }
    if (space.preparedActive < Math.min(capacity, offset + aheadSize / 2)) {
      return { index, size: activeSize };
    }
    if (offset > capacity / 2 && space.preparedSpare < spareSize) {
      return { index: index + 1, size: spareSize };
    }
    return undefined;
  }
}
