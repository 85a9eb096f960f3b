import type { FileSystem } from '../io/file-system.ts';
import type { Work } from '../io/steps.ts';
import type { OffsetTable } from './offset-table.ts';

/** One frame's body as the encoder sees it. The object is reused: nothing of it may be kept. */
export interface FrameBody {
  bytes: Buffer;
  view: DataView;
  /** Where the body begins in `bytes`. */
  start: number;
  size: number;
  firstPosition: number;
  count: number;
  /** Where the body begins in the segment file. */
  fileOffset: number;
}

/** What a sealed segment's footer says about its content. */
export interface SegmentSummary {
  readonly digest: Uint8Array;
  readonly minStamp: number;
  readonly maxStamp: number;
}

/** An encoder's surroundings on the writer's side, on whichever thread that is. */
export interface EncoderSurroundings {
  readonly fileSystem: FileSystem;
  /** The journal's. */
  readonly directory: string;
  /** Has the owner's `JournalEvents.encoderReported` called with it, in order. Anything that can be cloned. */
  readonly report: (message: unknown) => void;
}

/**
 * Gives bodies their meaning. The journal hands over every frame once, in order, and knows nothing of what is inside.
 * Implementations keep running state (hash links, digests): `complete` and `replay` advance it alike.
 */
export interface FrameEncoder {
  /** Bytes of frames that are finished in about the time of a sync, if they are more than where every record is hashed. */
  readonly meanwhileSizeMax?: number;
  /** Of its bodies. Default: `frameBodySizeMax`. */
  readonly bodySizeMax?: number;
  /** Called once, on the writer's side, before anything is completed there. */
  begin?(surroundings: EncoderSurroundings): void;
  /**
   * Called after a sync: everything below `position` is durable, and whoever waited for it has been told. The next batch waits for its steps;
   * `complete` may have seen frames of that one already. What it throws ends these calls and nothing else.
   */
  synced?(position: number): Work<void>;
  /** Finishes a new body in place before it is framed and written, and notes where its items lie. */
  complete(body: FrameBody, offsets: OffsetTable): void;
  /**
   * The same for a body read from disk, which is checked and not changed. Returns what is wrong with it, if anything is. `isKnown`: its owner
   * has what is in it; only what the segment's table and summary are made of is noted.
   */
  replay(body: FrameBody, offsets: OffsetTable, isKnown: boolean): string | undefined;
  /**
   * What binds the position after this frame to this very log: no other has it there, nor a copy that went its own way. Of a frame with its
   * trailer, as it is read from disk; undefined if it has none. Without it no position of the log can be known.
   */
  markOf?(body: FrameBody): Uint8Array | undefined;
  /** Describes the frames since the last call, which fill one segment. */
  sealSegment(): SegmentSummary;
}
