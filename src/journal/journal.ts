/**
 * The owner's side of the log's write path: hands out places for frames in order, passes them to the writer, and tells
 * each commit what became of it. Watermarks only grow:
 *
 *   durable ≤ written ≤ appended
 */
import { assert } from '../base/assert.ts';
import { type Applied, VarveError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Random } from '../base/random.ts';
import type { Clock, Timer } from '../io/clock.ts';
import { runAsync } from './disk-request.ts';
import { FRAME_HEADER_SIZE, frameSizeOf, SEGMENT_HEADER_SIZE } from './format.ts';
import { type Arena, Lane } from './lane.ts';
import type { JournalSettings } from './options.ts';
import { SegmentCursor } from './segment-cursor.ts';
import {
  type ActiveSegment,
  JournalWriter,
  SALT_IN_FRAME,
  type WriterParts,
  type WriterReports,
} from './writer.ts';

/** What the journal tells the maker of one frame. Each is called at most once. */
export interface CommitListener {
  /** The frame is in the file, not yet durable. */
  written(): void;
  /** The frame survives a power cut. */
  durable(): void;
  /** The frame is lost (`applied: 'no'`), or that can't be known before the store is opened again. */
  failed(error: VarveError): void;
}

/** What the journal tells its owner. */
export interface JournalEvents {
  /** Called after the listeners of everything below `position`. */
  durable(position: number): void;
  /** More frames may fit than before, or `hasRoom` will answer differently. */
  roomChanged(): void;
  /** Space for more frames can't be had now. Nothing is lost; who waits should be told. */
  noSpace(cause: unknown): void;
  sealed(firstPosition: number): void;
  /** Writing has ended; every commit in flight has been told. */
  failed(error: VarveError): void;
}

/** A place for one frame: fill `bytes` from `bodyStart` on, then `publish`. Reused for every frame. */
export interface FrameSlot {
  arena: Arena;
  /** Where the frame begins in the arena. */
  start: number;
  bodyStart: number;
  bodySize: number;
  /** Where the body will stand in its segment. */
  fileOffset: number;
  firstPosition: number;
  /** True if this frame is the first of a new segment. */
  opensSegment: boolean;
}

/** A frame that isn't durable yet. */
export interface PendingFrame {
  readonly firstPosition: number;
  readonly count: number;
  readonly arena: Arena;
  readonly bodyStart: number;
  readonly bodySize: number;
  /** Where the body will stand in its segment. */
  readonly fileOffset: number;
  readonly listener: CommitListener;
}

export interface JournalParts extends WriterParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const TAIL_PAUSE_MS = 1_000;

export class Journal {
  appended: number;
  written: number;
  durable: number;
  /** Why writing has ended, if it has. */
  failure: VarveError | undefined;

  readonly #parts: JournalParts;
  readonly #settings: JournalSettings;
  readonly #events: JournalEvents;
  readonly #lane: Lane;
  readonly #writer: JournalWriter;
  readonly #cursor: SegmentCursor;
  readonly #prepared = [
    { index: 0, size: 0 },
    { index: 1, size: 0 },
  ];
  readonly #slot: FrameSlot;
  #writerIndex: number;
  #pending: PendingFrame[] = [];
  #pendingHead = 0;
  #writtenHead = 0;
  #running: Promise<void> | undefined;
  #hasWork = false;
  /** The operator knows that there is no space. */
  #hasSpaceTrouble = false;
  #tailTimer: Timer | undefined;
  #isClosing = false;

  constructor(
    parts: JournalParts,
    settings: JournalSettings,
    active: ActiveSegment,
    events: JournalEvents,
  ) {
    this.#parts = parts;
    this.#settings = settings;
    this.#events = events;
    this.#lane = new Lane(settings.batchSizeMax);
    this.#cursor = new SegmentCursor(active.index, active.offset, settings.segmentSizeMax);
    this.#writerIndex = active.index;
    this.appended = active.position;
    this.written = active.position;
    this.durable = active.position;
    this.#writer = new JournalWriter(parts, this.#lane, this.#reports(), settings, active);
    this.#slot = {
      arena: this.#lane.reserve(0),
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
    return this.#lane.pendingSize;
  }

  get pendingCount(): number {
    return this.#pending.length - this.#pendingHead;
  }

  /** True if a frame with this body can be given a place now. If not, space is asked for and `roomChanged` follows. */
  hasRoom(bodySize: number): boolean {
    const frameSize = frameSizeOf(bodySize);
    const pendingSize = this.#lane.pendingSize;
    if (pendingSize > 0 && pendingSize + frameSize > this.#settings.pendingSizeMax) {
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
    // A segment after the next one can be prepared only when the writer has moved on.
    if (index <= this.#writerIndex + 1) {
      this.#writer.wantSpace(index, end);
    }
    this.#kick();
    return false;
  }

  /** Gives a frame its place. Only after `hasRoom` said yes, and with nothing else done in between. */
  reserve(bodySize: number): FrameSlot {
    assert(this.failure === undefined, 'no frame gets a place after a failure');
    const frameSize = frameSizeOf(bodySize);
    const slot = this.#slot;
    slot.opensSegment = this.#cursor.rotatesFor(frameSize);
    const arena = this.#lane.reserve(frameSize);
    slot.arena = arena;
    slot.start = arena.used;
    slot.bodyStart = arena.used + FRAME_HEADER_SIZE;
    slot.bodySize = bodySize;
    slot.firstPosition = this.appended;
    this.#cursor.advance(frameSize);
    slot.fileOffset = this.#cursor.offset - frameSize + FRAME_HEADER_SIZE;
    return slot;
  }

  /** Hands the filled frame to the writer. */
  publish(slot: FrameSlot, count: number, listener: CommitListener): void {
    const { arena, start, bodySize } = slot;
    arena.view.setUint32(start + 8, bodySize, true);
    arena.view.setUint32(start + 12, count, true);
    if (slot.opensSegment) {
      const saltStart = start + SALT_IN_FRAME;
      this.#parts.random.fill(arena.bytes.subarray(saltStart, saltStart + 16));
    }
    const { firstPosition, bodyStart } = slot;
    this.#lane.publish(arena, frameSizeOf(bodySize));
    this.appended += count;
    const { fileOffset } = slot;
    this.#pending.push({ firstPosition, count, arena, bodyStart, bodySize, fileOffset, listener });
    this.#kick();
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
  async drain(): Promise<void> {
    while (this.pendingCount > 0 && this.#running !== undefined) {
      await this.#running;
    }
  }

  /** Ends writing. Everything in flight must be settled. Leaves the folder at rest unless writing has failed. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#tailTimer?.cancel();
    while (this.#running !== undefined) {
      await this.#running;
    }
    await runAsync(this.#writer.close());
  }

  /** Ends writing because something that is not the disk's fault went wrong. */
  poison(cause: unknown): void {
    this.#writer.stop();
    this.#failAll(cause, this.appended);
  }

  #reports(): WriterReports {
    const { logger } = this.#parts;
    return {
      prepared: (index, size) => {
        const slot = this.#prepared[index & 1]!;
        slot.index = index;
        slot.size = size;
        this.#hasSpaceTrouble = this.#writer.hasSpaceTrouble;
        this.#events.roomChanged();
      },
      noSpace: (cause) => {
        if (!this.#hasSpaceTrouble) {
          logger({
            level: 'warn',
            event: 'no-space',
            message: 'There is no space for more events: appends are refused until there is.',
            details: { cause },
          });
        }
        this.#hasSpaceTrouble = true;
        this.#events.noSpace(cause);
      },
      written: (position) => this.#advanceWritten(position),
      durable: (position) => this.#advanceDurable(position),
      rotated: (firstPosition) => {
        this.#writerIndex += 1;
        logger({
          level: 'info',
          event: 'rotated',
          message: 'A new segment begins.',
          details: { firstPosition },
        });
      },
      sealed: (firstPosition) => this.#events.sealed(firstPosition),
      failed: (cause, unknownBelow) => this.#failAll(cause, unknownBelow),
      derivedFailed: (what, cause) => {
        logger({
          level: 'warn',
          event: 'derived-write-failed',
          message: `Could not write ${what}: the next open makes up for it.`,
          details: { cause },
        });
      },
    };
  }

  #advanceWritten(position: number): void {
    this.written = position;
    while (this.#writtenHead < this.#pending.length) {
      const frame = this.#pending[this.#writtenHead]!;
      if (frame.firstPosition >= position) {
        break;
      }
      this.#writtenHead += 1;
      frame.listener.written();
    }
  }

  #advanceDurable(position: number): void {
    this.durable = position;
    while (this.#pendingHead < this.#pending.length) {
      const frame = this.#pending[this.#pendingHead]!;
      if (frame.firstPosition >= position) {
        break;
      }
      this.#pendingHead += 1;
      frame.listener.durable();
    }
    this.#trimPending();
    this.#events.durable(position);
  }

  #trimPending(): void {
    if (this.#pendingHead === this.#pending.length) {
      this.#pending = [];
    } else if (this.#pendingHead > 4_096 && this.#pendingHead * 2 > this.#pending.length) {
      this.#pending = this.#pending.slice(this.#pendingHead);
    } else {
      return;
    }
    this.#writtenHead = Math.max(0, this.#writtenHead - this.#pendingHead);
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
      frame.listener.failed(poisoned(cause, frame.firstPosition < unknownBelow ? 'unknown' : 'no'));
    }
    this.#events.failed(this.failure);
  }

  #kick(): void {
    this.#hasWork = true;
    this.#running ??= this.#run();
  }

  /** Works until there is nothing to do. Between batches everything that is ready runs, so that it joins the next batch. */
  async #run(): Promise<void> {
    // Callers that append in one go are gathered before the first batch is taken.
    await Promise.resolve();
    try {
      let result = 'wrote';
      // Order: the flag is cleared before the step looks for work, so work that comes during a step is seen.
      while (result === 'wrote' || this.#hasWork) {
        this.#hasWork = false;
        result = await runAsync(this.#writer.step());
        if (result === 'wrote') {
          // Order: the batch has left the lane by now, so what it took up is free.
          this.#events.roomChanged();
          await this.#parts.clock.pause();
        }
      }
    } catch (error) {
      // A defect of ours: nothing after it can be trusted.
      this.poison(error);
    } finally {
      this.#running = undefined;
    }
    this.#scheduleTail();
  }

  /** Once appends pause, the tail file is brought up to date, so that damage to what is durable now will be noticed. */
  #scheduleTail(): void {
    if (this.#isClosing || this.failure !== undefined || !this.#writer.tailIsStale) {
      return;
    }
    this.#tailTimer?.cancel();
    this.#tailTimer = this.#parts.clock.schedule(TAIL_PAUSE_MS, () => {
      this.#tailTimer = undefined;
      this.#writer.wantTail();
      this.#kick();
    });
  }
}

/** What everybody hears who isn't asking about a commit of their own. */
function writingEnded(cause: unknown): VarveError {
  return new VarveError(
    'POISONED',
    'Writing to the store has failed and ended: close the store and open it again.',
    { cause },
  );
}

/** The error of a commit that could not be written, and of every one after it. */
export function poisoned(cause: unknown, applied: Applied): VarveError {
  const what = applied === 'no' ? 'was not applied' : 'may or may not have been applied';
  return new VarveError(
    'POISONED',
    `Writing to the store has failed, and this append ${what}: close the store, open it again and retry.`,
    { cause, applied },
  );
}
