/**
 * The owner's side of the log's write path: hands out places for frames in order, passes them to the writer through a lane,
 * and tells each commit what became of it. Watermarks only grow:
 *
 *   durable ≤ written ≤ appended
 */
import { assert } from '../base/assert.ts';
import type { VarveError } from '../base/errors.ts';
import { viewOf } from '../base/integers.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import type { Clock, Timer } from '../io/clock.ts';
import { isHoldLost } from '../io/held-folder.ts';
import { AtomicCells, type Cells } from './cells.ts';
import { FRAME_HEADER_SIZE, frameSizeOf, SEGMENT_HEADER_SIZE } from './format.ts';
import { FrameDraft } from './frame-draft.ts';
import { distance, LaneCell } from './lane-layout.ts';
import { LaneProducer } from './lane.ts';
import type { JournalSettings } from './options.ts';
import type { PendingFrame } from './pending-frame.ts';
import type { JournalEnd } from './recovery.ts';
import { SegmentCursor } from './segment-cursor.ts';
import { poisoned, scarcityOf, writingEnded } from './write-failure.ts';
import type { StartWriter, WriterHost } from './writer-host.ts';
import type { WriterReport } from './writer-messages.ts';

/** What the journal tells its owner. */
export interface JournalEvents {
  /** Called after the frames of everything below `position` have been told. */
  durable(position: number): void;
  /** More frames may fit than before, or `hasRoom` will answer differently. */
  roomChanged(): void;
  /** Space for more frames can't be had now. Nothing is lost; who waits should be told. */
  noSpace(cause: unknown): void;
  sealed(firstPosition: number): void;
  /** What the encoder says on the writer's side (`EncoderSurroundings.report`). */
  encoderReported?(message: unknown): void;
  /** Writing has ended; every commit in flight has been told. */
  failed(error: VarveError): void;
}

/** A place for one frame: fill `bytes` from `bodyStart` on, then `publish`. Reused for every frame. */
export interface FrameSlot {
  bytes: Buffer;
  view: DataView;
  /** Where the frame begins in `bytes`. */
  start: number;
  bodyStart: number;
  bodySize: number;
  /** Where the body will stand in its segment. */
  fileOffset: number;
  firstPosition: number;
  /** True if this frame is the first of a new segment. */
  opensSegment: boolean;
}

export interface JournalParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Starts the writer when the first frame asks for room. */
  readonly startWriter: StartWriter;
  /** Starts it in this thread, if none was needed until the journal is closed. */
  readonly startInline: StartWriter;
}

/** Published so early, the writer is busy with the first frames of a burst while the rest is made. */
const EARLY_SIZE = 48 * 1024;

export class Journal {
  appended: number;
  written: number;
  durable: number;
  /** Why writing has ended, if it has. */
  failure: VarveError | undefined;

  readonly #parts: JournalParts;
  readonly #settings: JournalSettings;
  readonly #events: JournalEvents;
  readonly #cursor: SegmentCursor;
  readonly #prepared = [
    { index: 0, size: 0 },
    { index: 1, size: 0 },
  ];
  readonly #slot: FrameSlot;
  /** Of the segment that the next frame opens. */
  readonly #segmentSalt = new Uint8Array(16);
  /** Undefined until the first frame asks for room. */
  #link: Link | undefined;
  #writerIndex: number;
  /** The space asked for and not answered yet. */
  #asked = 0;
  #pending: PendingFrame[] = [];
  #pendingHead = 0;
  #writtenHead = 0;
  #pendingSize = 0;
  /** Those who wait until nothing is in flight. */
  #idleWaiters: (() => void)[] = [];
  /** Frames have been pushed and will be published soon. */
  #isPublishing = false;
  #publishTimer: Timer | undefined;
  /** The operator knows that there is no space. */
  #hasSpaceTrouble = false;
  #isClosing = false;

  constructor(
    parts: JournalParts,
    settings: JournalSettings,
    active: JournalEnd,
    events: JournalEvents,
  ) {
    this.#parts = parts;
    this.#settings = settings;
    this.#events = events;
    this.#cursor = new SegmentCursor(active.index, active.offset, settings.segmentSizeMax);
    this.#writerIndex = active.index;
    this.appended = active.position;
    this.written = active.position;
    this.durable = active.position;
    const none = Buffer.alloc(0);
    this.#slot = {
      bytes: none,
      view: viewOf(none),
      start: 0,
      bodyStart: 0,
      bodySize: 0,
      fileOffset: 0,
      firstPosition: 0,
      opensSegment: false,
    };
  }

  /** Bytes of frames that are not durable yet. */
  get pendingSize(): number {
    return this.#pendingSize;
  }

  get pendingCount(): number {
    return this.#pending.length - this.#pendingHead;
  }

  /** The memory in which frames in flight lie. */
  get frames(): { readonly bytes: Buffer; readonly view: DataView } {
    return this.#slot;
  }

  /** True if a frame with this body can be given a place now. If not, space is asked for and `roomChanged` follows. */
  hasRoom(bodySize: number): boolean {
    const frameSize = frameSizeOf(bodySize);
    const { lane, host } = (this.#link ??= this.#start());
    // Whoever waits for room keeps the process, until `roomChanged` or `noSpace` has come.
    if (
      (this.#pendingSize > 0 && this.#pendingSize + frameSize > this.#settings.pendingSizeMax) ||
      !lane.hasRoom(frameSize)
    ) {
      host.hold(true);
      this.publishNow();
      return false;
    }
    const cursor = this.#cursor;
    const rotates = cursor.rotatesFor(frameSize);
    const index = rotates ? cursor.index + 1 : cursor.index;
    const end = (rotates ? SEGMENT_HEADER_SIZE : cursor.offset) + frameSize;
    const prepared = this.#prepared[index & 1]!;
    if (prepared.index === index && prepared.size >= end) {
      return true;
    }
    host.hold(true);
    this.publishNow();
    // A segment after the next one can be prepared only when the writer has moved on.
    if (index <= this.#writerIndex + 1 && this.#asked !== end) {
      this.#asked = end;
      host.order({ order: 'space', index, size: end });
    }
    return false;
  }

  /** Draws what the next frame needs. Order: before anything is changed, for the source is the caller's and may fail. */
  draw(bodySize: number): void {
    if (this.#cursor.rotatesFor(frameSizeOf(bodySize))) {
      this.#parts.random.fill(this.#segmentSalt);
    }
  }

  /** Gives a frame its place. Only after `draw`, after `hasRoom` said yes, and with nothing else done in between. */
  reserve(bodySize: number): FrameSlot {
    assert(this.failure === undefined, 'no frame gets a place after a failure');
    const frameSize = frameSizeOf(bodySize);
    const slot = this.#slot;
    slot.opensSegment = this.#cursor.rotatesFor(frameSize);
    slot.start = this.#link!.lane.reserve(frameSize);
    slot.bodyStart = slot.start + FRAME_HEADER_SIZE;
    slot.bodySize = bodySize;
    slot.firstPosition = this.appended;
    this.#cursor.advance(frameSize);
    slot.fileOffset = this.#cursor.offset - frameSize + FRAME_HEADER_SIZE;
    return slot;
  }

  /** Takes over the filled frame, which goes to the writer when the call stack has ended, or earlier. */
  publish(slot: FrameSlot, count: number, frame: PendingFrame): void {
    const { lane, cells, host } = this.#link!;
    const { start, bodySize, view } = slot;
    const frameSize = frameSizeOf(bodySize);
    view.setUint32(start + FrameDraft.bodySizeAt, bodySize, true);
    view.setUint32(start + FrameDraft.countAt, count, true);
    if (slot.opensSegment) {
      slot.bytes.set(this.#segmentSalt, start + FrameDraft.saltAt);
    }
    lane.push(frameSize, 0);
    frame.firstPosition = slot.firstPosition;
    frame.count = count;
    frame.bodyStart = slot.bodyStart;
    frame.bodySize = bodySize;
    frame.fileOffset = slot.fileOffset;
    frame.end = lane.tail;
    if (frame.wantsWritten) {
      cells.store(LaneCell.wanted, frame.end);
    }
    if (this.pendingCount === 0) {
      host.hold(true);
    }
    this.appended += count;
    this.#pendingSize += frameSize;
    this.#pending.push(frame);
    this.#publishSoon(lane, host);
  }

  /** Shows the writer everything that was handed to `publish`: nobody waits for company any longer. */
  publishNow(): void {
    this.#isPublishing = false;
    if (this.#publishTimer !== undefined) {
      this.#publishTimer.cancel();
      this.#publishTimer = undefined;
    }
    const lane = this.#link?.lane;
    if (lane !== undefined && lane.unpublishedSize > 0 && this.failure === undefined) {
      lane.publish();
    }
  }

  /** The frame in flight that holds this position. */
  pendingAt(position: number): PendingFrame | undefined {
    let low = this.#pendingHead;
    let high = this.#pending.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const frame = this.#pending[middle]!;
      if (position < frame.firstPosition) {
        high = middle;
      } else if (position >= frame.firstPosition + frame.count) {
        low = middle + 1;
      } else {
        return frame;
      }
    }
    return undefined;
  }

  /** Resolves when nothing is in flight, durable or failed. */
  async whenIdle(): Promise<void> {
    while (this.pendingCount > 0) {
      this.publishNow();
      await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
    }
  }

  /** Ends writing. Everything in flight must be settled. Leaves the folder at rest unless writing has failed. */
  async close(): Promise<void> {
    this.#isClosing = true;
    const { host } = (this.#link ??= this.#start('at rest'));
    host.hold(true);
    await host.close();
  }

  /** Ends writing because something that is not the disk's fault went wrong. */
  poison(cause: unknown): void {
    this.#link?.host.order({ order: 'stop' });
    this.#failAll(cause, this.appended);
  }

  /** `at rest`: nothing was written, and nothing will be; the folder is only left as it should be. */
  #start(purpose?: 'at rest'): Link {
    const { startWriter, startInline } = this.#parts;
    const start = purpose === undefined ? startWriter : startInline;
    const { memory, hubWords, host } = start(
      (report) => this.#hear(report),
      (error) => this.poison(error),
    );
    const cells = new AtomicCells(memory.words);
    const producer = new LaneProducer(memory, cells, new AtomicCells(hubWords), () => host.wake());
    this.#slot.bytes = producer.bytes;
    this.#slot.view = producer.view;
    return { lane: producer, cells, host };
  }

  #publishSoon(lane: LaneProducer, host: WriterHost): void {
    const { maxDelayMs, batchSizeMax } = this.#settings;
    const isLate = maxDelayMs > 0;
    const enough = isLate ? batchSizeMax : EARLY_SIZE;
    if ((isLate || host.isThread) && lane.unpublishedSize >= enough) {
      this.publishNow();
      return;
    }
    if (this.#isPublishing) {
      return;
    }
    this.#isPublishing = true;
    if (isLate) {
      const publish = (): void => this.publishNow();
      this.#publishTimer = this.#parts.clock.schedule(maxDelayMs, publish, 'holds the process');
    } else {
      // What the caller appends in one go is gathered first.
      void Promise.resolve().then(() => this.publishNow());
    }
  }

  #hear(report: WriterReport): void {
    switch (report.report) {
      case 'written':
        this.#advanceWritten();
        break;
      case 'durable':
        this.#advanceDurable();
        break;
      case 'prepared':
        this.#notePrepared(report);
        break;
      case 'no-space':
        this.#noteScarcity(report.cause);
        break;
      case 'rotated':
        this.#noteRotation(report.firstPosition);
        break;
      case 'sealed':
        this.#events.sealed(report.firstPosition);
        break;
      case 'failed':
        this.#failAll(report.cause, report.unknownBelow);
        break;
      case 'derived-failed':
        this.#derivedFailed(report.what, report.cause);
        break;
      case 'encoder':
        this.#events.encoderReported?.(report.message);
        break;
    }
  }

  #notePrepared({ index, size, isScarce }: Extract<WriterReport, { report: 'prepared' }>): void {
    const slot = this.#prepared[index & 1]!;
    slot.index = index;
    slot.size = size;
    this.#hasSpaceTrouble = isScarce;
    this.#asked = 0;
    this.#releaseProcess();
    this.#events.roomChanged();
  }

  #noteScarcity(cause: unknown): void {
    if (!this.#hasSpaceTrouble) {
      const message = scarcityOf(cause);
      this.#parts.logger({ level: 'warn', event: 'no-space', message, details: { cause } });
    }
    this.#hasSpaceTrouble = true;
    this.#asked = 0;
    this.#releaseProcess();
    this.#events.noSpace(cause);
  }

  #noteRotation(firstPosition: number): void {
    this.#writerIndex += 1;
    const message = 'A new segment begins.';
    this.#parts.logger({ level: 'info', event: 'rotated', message, details: { firstPosition } });
    // Whoever needs the segment after it can ask for its space now.
    this.#events.roomChanged();
  }

  #derivedFailed(what: string, cause: unknown): void {
    if (isHoldLost(cause)) {
      // The next write would fail for it, too.
      this.poison(cause);
      return;
    }
    const message = `Could not write ${what}: the next open makes up for it.`;
    const event = 'derived-write-failed';
    this.#parts.logger({ level: 'warn', event, message, details: { cause } });
  }

  #advanceWritten(): void {
    const written = this.#link!.cells.load(LaneCell.written);
    const pending = this.#pending;
    let index = this.#writtenHead;
    for (; index < pending.length && distance(pending[index]!.end, written) <= 0; index += 1) {
      const frame = pending[index]!;
      this.written = frame.firstPosition + frame.count;
      if (frame.wantsWritten) {
        frame.written();
      }
    }
    this.#writtenHead = index;
  }

  #advanceDurable(): void {
    // Order: the head first. The writer moves both while this looks, and what is durable must have been seen to be written.
    const head = this.#link!.lane.loadHead();
    this.#advanceWritten();
    const pending = this.#pending;
    const first = this.#pendingHead;
    let end = first;
    while (end < pending.length && distance(pending[end]!.end, head) <= 0) {
      this.#pendingSize -= frameSizeOf(pending[end]!.bodySize);
      end += 1;
    }
    if (end > first) {
      const last = pending[end - 1]!;
      this.durable = last.firstPosition + last.count;
      this.#pendingHead = end;
      for (let index = first; index < end; index += 1) {
        pending[index]!.durable();
      }
      this.#trimPending();
      this.#events.durable(this.durable);
    }
    if (this.pendingCount === 0) {
      this.#releaseProcess();
      this.#tellIdle();
    }
    this.#events.roomChanged();
  }

  /** The process may end by itself, unless something is in flight. */
  #releaseProcess(): void {
    if (this.pendingCount === 0 && !this.#isClosing) {
      this.#link?.host.hold(false);
    }
  }

  #tellIdle(): void {
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const resolve of waiters) {
      resolve();
    }
  }

  #trimPending(): void {
    if (this.#pendingHead === this.#pending.length) {
      this.#pending = [];
    } else if (this.#pendingHead > 4_096 && this.#pendingHead * 2 > this.#pending.length) {
      this.#pending = this.#pending.slice(this.#pendingHead);
    } else {
      return;
    }
    this.#writtenHead -= this.#pendingHead;
    this.#pendingHead = 0;
  }

  #failAll(cause: unknown, unknownBelow: number): void {
    if (this.failure !== undefined) {
      return;
    }
    this.failure = writingEnded(cause);
    this.#parts.logger({
      level: 'error',
      event: 'poisoned',
      message: 'Writing has failed and ended: close the store and open it again.',
      details: { cause },
    });
    const lost = this.#pending.slice(this.#pendingHead);
    this.#pending = [];
    this.#pendingHead = 0;
    this.#writtenHead = 0;
    for (const frame of lost) {
      frame.failed(poisoned(cause, frame.firstPosition < unknownBelow ? 'unknown' : 'no'));
    }
    this.#releaseProcess();
    this.#tellIdle();
    this.#events.failed(this.failure);
  }
}

/** The writer and the way to it. */
interface Link {
  readonly lane: LaneProducer;
  readonly cells: Cells;
  readonly host: WriterHost;
}
