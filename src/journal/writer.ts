/**
 * Makes frames durable: takes them from the lane, has the encoder finish them, frames them, writes each batch with one
 * write and one sync, and keeps zeroed space ready ahead of the tail. Knows nothing of threads or of what frames mean.
 *
 * Where a frame goes is a pure function of frame sizes (SegmentCursor), so owner and writer agree without talking. The
 * owner hands over a frame only when the space for it was reported prepared.
 */
import { assert } from '../base/assert.ts';
import { isShortage } from '../base/errors.ts';
import { replaceFile } from '../io/atomic-file.ts';
import type { File, FileSystem } from '../io/file-system.ts';
import { isHoldLost } from '../io/held-folder.ts';
import { joinPath } from '../io/path.ts';
import { reached } from '../base/reached.ts';
import { type Work, writeAll } from '../io/steps.ts';
import type { FrameEncoder } from './encoder.ts';
import { encodeSegmentHeader, encodeTail, segmentHeaderCrc, segmentName } from './format.ts';
import { FrameDraft } from './frame-draft.ts';
import type { LaneConsumer } from './lane.ts';
import { SPARE_NAME, TAIL_NAME } from './names.ts';
import { OffsetTable } from './offset-table.ts';
import type { JournalSettings } from './options.ts';
import { type Run, RunFinisher } from './run-finisher.ts';
import { SegmentCursor, segmentCapacity } from './segment-cursor.ts';
import { sealSegment, type SealableSegment } from './segment-sealer.ts';
import { SpacePreparer } from './space-preparer.ts';
import type { ReportWriter, WriterOrder } from './writer-messages.ts';

/**
 * Frames that wait when a batch is about to be synced are finished while the disk is busy, if there are so many bytes of them:
 * below it waiting for the disk in place costs less than being called back by it.
 */
const MEANWHILE_SIZE_MIN = 64 * 1024;
/**
 * What is finished meanwhile takes about as long as a sync, so that nobody waits for an acknowledgement because of it: so much where
 * every record is hashed. It is what the next sync covers, so an encoder that does less says how much it may be.
 */
const MEANWHILE_SIZE_MAX = 128 * 1024;

/**
 * The tail file is brought up to date so long after the first commit that it does not cover became durable, whatever else goes on.
 * With what replacing it takes, everything acknowledged is covered within a second.
 */
export const TAIL_DELAY_MS = 700;

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
  readonly #lane: LaneConsumer;
  readonly #report: ReportWriter;
  readonly #settings: JournalSettings;
  readonly #cursor: SegmentCursor;
  readonly #space: SpacePreparer;
  readonly #sealing: SealableSegment[] = [];
  readonly #finisher: RunFinisher;

  #segment: { file: File; firstPosition: number; salt: Uint8Array };
  #durable: number;
  /** What the tail file says. */
  #tail: { segment: number; durable: number };
  /** Finished while the disk was busy with the run before. */
  #ready: Run | undefined;
  #wanted = { index: 0, size: 0 };
  #tailWanted = false;
  /** It could not be written the last time, which has been reported. */
  #hasTailTrouble = false;
  /** It failed after a sync, and is not told of others. */
  #hasEncoderTrouble = false;
  #hasFailed = false;

  constructor(
    parts: WriterParts,
    lane: LaneConsumer,
    report: ReportWriter,
    settings: JournalSettings,
    active: ActiveSegment,
  ) {
    this.#parts = parts;
    this.#lane = lane;
    this.#report = report;
    this.#settings = settings;
    this.#cursor = new SegmentCursor(active.index, active.offset, settings.segmentSizeMax);
    this.#finisher = new RunFinisher(parts.encoder, lane, this.#cursor, active);
    this.#segment = { file: active.file, firstPosition: active.firstPosition, salt: active.salt };
    this.#durable = active.position;
    this.#tail = { segment: active.firstPosition, durable: active.tailDurable };
    this.#space = new SpacePreparer(parts, active.file, active.offset);
    const { encoder, fileSystem, directory } = parts;
    const tell = (message: unknown): void => report({ report: 'encoder', message });
    encoder.begin?.({ fileSystem, directory, report: tell });
  }

  obey(order: WriterOrder): void {
    if (order.order === 'space') {
      this.#wanted = { index: order.index, size: order.size };
    } else {
      this.#hasFailed = true;
    }
  }

  /** True if the tail file says less than is durable: its host asks for it with `wantTail`, `TAIL_DELAY_MS` later. */
  get owesTail(): boolean {
    return this.#tail.durable < this.#durable || this.#tail.segment < this.#segment.firstPosition;
  }

  /** Asks for the tail file to be brought up to date, between two batches. */
  wantTail(): void {
    this.#tailWanted = true;
  }

  /** Does what somebody waits for: space, a batch. 'idle' if nobody waits. */
  *step(): Work<'idle' | 'wrote'> {
    if (this.#hasFailed) {
      return 'idle';
    }
    if (this.#tailWanted) {
      this.#tailWanted = false;
      this.#replaceTail();
    }
    if (this.#sealing.length > 1) {
      yield* this.#sealOne();
    }
    const hasPrepared = yield* this.#prepareForFrames();
    if (this.#hasFailed) {
      return 'idle';
    }
    return (yield* this.#writeWaiting()) || hasPrepared ? 'wrote' : 'idle';
  }

  /** Does one thing that nobody waits for yet: space ahead of the tail, a footer. 'idle' if all is done. */
  *tidy(): Work<'idle' | 'wrote'> {
    if (this.#hasFailed) {
      return 'idle';
    }
    if (yield* this.#prepareAhead()) {
      return 'wrote';
    }
    if (this.#sealing.length > 0) {
      yield* this.#sealOne();
      return 'wrote';
    }
    return 'idle';
  }

  /** Leaves the folder at rest: zeros cut off, tail exact, no spare. Call it once, when nothing is in flight. */
  *close(): Work<void> {
    try {
      if (!this.#hasFailed) {
        yield* this.#leaveAtRest();
      }
    } finally {
      this.#closeFiles();
    }
  }

  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  *#leaveAtRest(): Work<void> {
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

  /** Makes the frames at hand durable; false if there are none. */
  *#writeWaiting(): Work<boolean> {
    let run = this.#ready;
    this.#ready = undefined;
    if (run === undefined) {
      const lane = this.#lane;
      lane.refresh();
      if (!lane.peek()) {
        // What was skipped at the lane's end is free.
        if (lane.release()) {
          this.#report({ report: 'durable' });
        }
        return false;
      }
      if (this.#cursor.rotatesFor(lane.size) && !(yield* this.#rotateOrFail())) {
        return true;
      }
      run = this.#finisher.finish(this.#settings.batchSizeMax, this.#durable);
    }
    yield* this.#writeRun(run);
    return true;
  }

  *#rotateOrFail(): Work<boolean> {
    const { bytes, start } = this.#lane;
    const saltStart = start + FrameDraft.saltAt;
    try {
      // The owner drew the new segment's salt.
      yield* this.#rotate(new Uint8Array(bytes.subarray(saltStart, saltStart + 16)));
      return true;
    } catch (error) {
      // Nothing of these frames has been near the disk.
      this.#fail(error, this.#durable);
      return false;
    }
  }

  *#writeRun({ start, size, fileOffset, position, address }: Run): Work<void> {
    const { file } = this.#segment;
    this.#space.noteBatch(size);
    try {
      yield* writeAll(file, this.#lane.bytes.subarray(start, start + size), fileOffset);
    } catch (error) {
      yield* this.#takeBack(file, fileOffset, size, position, error);
      return;
    }
    this.#lane.markWritten(address);
    this.#report({ report: 'written' });
    try {
      yield this.#hasNext()
        ? { operation: 'sync', file, meanwhile: this.#finishNext }
        : { operation: 'sync', file };
    } catch (error) {
      reached('sync failed');
      // Order: never synced again: after a failed sync the kernel may call lost pages clean.
      this.#fail(error, position);
      return;
    }
    this.#durable = position;
    // Order: the head is what acknowledges: it moves when the sync has returned.
    this.#lane.release(address);
    this.#report({ report: 'durable' });
    if (this.#parts.encoder.synced !== undefined && !this.#hasEncoderTrouble) {
      yield* this.#tellEncoder(position);
    }
  }

  *#tellEncoder(position: number): Work<void> {
    try {
      yield* this.#parts.encoder.synced!(position);
    } catch (cause) {
      this.#hasEncoderTrouble = true;
      this.#report({ report: 'derived-failed', what: 'what is derived from the log', cause });
    }
  }

  /** True if enough waits, for this segment, to be worth finishing while the disk is busy. */
  #hasNext(): boolean {
    const lane = this.#lane;
    lane.refresh();
    const enough = Math.min(MEANWHILE_SIZE_MIN, this.#settings.batchSizeMax);
    return lane.waitingSize >= enough && lane.peek() && !this.#cursor.rotatesFor(lane.size);
  }

  readonly #finishNext = (): void => {
    reached('finished frames while the disk was busy');
    const { meanwhileSizeMax = MEANWHILE_SIZE_MAX } = this.#parts.encoder;
    const sizeMax = Math.min(meanwhileSizeMax, this.#settings.batchSizeMax);
    this.#ready = this.#finisher.finish(sizeMax, this.#durable);
  };

  /** After a failed write: overwrites what may have arrived with zeros, so that it can't come back after a crash. */
  *#takeBack(
    file: File,
    offset: number,
    size: number,
    unknownBelow: number,
    cause: unknown,
  ): Work<void> {
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
    this.#report({ report: 'failed', cause, unknownBelow });
  }

  *#rotate(salt: Uint8Array): Work<void> {
    const finisher = this.#finisher;
    const firstPosition = finisher.position;
    assert(this.#durable === firstPosition, 'every frame of a segment is durable before the next');
    const { fileSystem, directory, identity, encoder } = this.#parts;
    const index = this.#cursor.index + 1;
    const header = { identity, salt, index, firstPosition, link: finisher.link };
    const { spare } = this.#space;
    yield* writeAll(spare, encodeSegmentHeader(header), 0);
    // Order: the header is durable before the name, the name before the tail file and the first frame.
    yield { operation: 'sync', file: spare };
    const path = joinPath(directory, segmentName(firstPosition));
    fileSystem.rename(joinPath(directory, SPARE_NAME), path);
    this.#space.syncFolder();
    this.#space.takeSpare();
    const { offsets, frameCount, link: lastLink } = finisher;
    const framesEnd = this.#cursor.offset;
    const summary = encoder.sealSegment();
    this.#sealing.push({ ...this.#segment, offsets, frameCount, framesEnd, lastLink, summary });
    this.#segment = { file: spare, firstPosition, salt };
    this.#cursor.rotate();
    finisher.beginSegment(salt, segmentHeaderCrc(header), new OffsetTable());
    this.#replaceTail();
    this.#report({ report: 'rotated', firstPosition });
    reached('rotated');
  }

  *#sealOne(): Work<void> {
    const segment = this.#sealing.shift();
    assert(segment !== undefined, 'a segment waits to be sealed');
    try {
      yield* sealSegment(segment);
      this.#report({ report: 'sealed', firstPosition: segment.firstPosition });
    } catch (cause) {
      // The next open seals it.
      this.#report({ report: 'derived-failed', what: 'the footer of a full segment', cause });
    } finally {
      segment.file.close();
    }
  }

  #replaceTail(): void {
    const { fileSystem, directory, identity } = this.#parts;
    const durable = this.#durable;
    const segment = this.#segment.firstPosition;
    if (!this.owesTail) {
      return;
    }
    try {
      replaceFile(fileSystem, directory, TAIL_NAME, encodeTail({ identity, segment, durable }));
      this.#tail = { segment, durable };
      this.#hasTailTrouble = false;
    } catch (cause) {
      // An older tail is a weaker bound, not a wrong one. It stays owed, and is tried again.
      // A folder that is lost ends writing, whatever was told before.
      if (!this.#hasTailTrouble || isHoldLost(cause)) {
        this.#report({ report: 'derived-failed', what: 'the tail file', cause });
      }
      this.#hasTailTrouble = true;
    }
  }

  /**
   * Before a batch, where space runs low. Not synced: the sync of the batch covers these zeros, most of which it has
   * overwritten by then, and whether there is room for them shows when they are written.
   */
  *#prepareForFrames(): Work<boolean> {
    const { index, offset, capacity } = this.#cursor;
    const space = this.#space;
    const wanted = this.#wanted;
    this.#lane.refresh();
    let hasPrepared = false;
    if (wanted.index === index + 1 && wanted.size > space.preparedSpare) {
      hasPrepared = yield* this.#prepare(index + 1, wanted.size, 'with the batch');
    }
    const low = Math.min(capacity, offset + space.aheadSize / 4);
    const isLow =
      this.#lane.waitingSize > 0 && !space.hasSpaceTrouble && space.preparedActive < low;
    const isWanted = wanted.index === index && wanted.size > space.preparedActive;
    if ((isLow || isWanted) && !this.#hasFailed) {
      const ahead = Math.min(capacity, offset + space.aheadSize);
      const target = Math.max(ahead, isWanted ? wanted.size : 0);
      hasPrepared = (yield* this.#prepare(index, target, 'with the batch')) || hasPrepared;
    }
    return hasPrepared;
  }

  /** When nobody waits: tops up what is prepared, in whole steps, when half of it is used. */
  *#prepareAhead(): Work<boolean> {
    const { index, offset, capacity } = this.#cursor;
    const space = this.#space;
    if (space.hasSpaceTrouble) {
      return false;
    }
    const active = Math.min(capacity, offset + space.aheadSize);
    if (space.preparedActive < Math.min(capacity, offset + space.aheadSize / 2)) {
      return yield* this.#prepare(index, active, 'synced');
    }
    const spareCapacity = segmentCapacity(index + 1, this.#settings.segmentSizeMax);
    const spare = Math.min(spareCapacity, space.aheadSize);
    if (offset > capacity / 2 && space.preparedSpare < spare) {
      return yield* this.#prepare(index + 1, spare, 'synced');
    }
    return false;
  }

  /** Zeroes one more step of a segment towards `target`; true if it did, or if writing has ended by it. */
  *#prepare(index: number, target: number, how: 'synced' | 'with the batch'): Work<boolean> {
    const isSpare = index > this.#cursor.index;
    let size: number;
    try {
      size = yield* this.#space.step(isSpare, target, how === 'synced');
    } catch (cause) {
      this.#wanted = { index: 0, size: 0 };
      if (isShortage(cause)) {
        reached('no space to prepare');
        this.#report({ report: 'no-space', cause });
        return false;
      }
      this.#fail(cause, this.#durable);
      return true;
    }
    const isScarce = this.#space.hasSpaceTrouble;
    this.#report({ report: 'prepared', index, size, isScarce });
    return true;
  }
}
