/** Messages between the owner and the writer besides frames and watermarks: calls in one thread, messages between two. */
import type { WorkerFiles } from '../io/worker-host.ts';
import type { JournalSettings } from './options.ts';
import type { ActiveSegment } from './writer.ts';

/** From the owner. */
export type WriterOrder =
  /** It has a frame that needs segment `index` prepared up to `size`. */
  | { readonly order: 'space'; readonly index: number; readonly size: number }
  /** Ends writing: nothing more is taken from the lane. */
  | { readonly order: 'stop' };

/** From the writer. */
export type WriterReport =
  /** The lane's `written` word has moved: everything before it is in the file. */
  | { readonly report: 'written' }
  /** The lane's head has moved: everything before it survives a power cut. */
  | { readonly report: 'durable' }
  /** Segment `index` has zeroed, durable space up to `size`; `isScarce` if there was trouble to find some lately. */
  | {
      readonly report: 'prepared';
      readonly index: number;
      readonly size: number;
      readonly isScarce: boolean;
    }
  /** There is no space to prepare; nothing was lost. */
  | { readonly report: 'no-space'; readonly cause: unknown }
  /** Frames from now on go to the segment that begins with `firstPosition`. */
  | { readonly report: 'rotated'; readonly firstPosition: number }
  /** The segment has its footer; reads of it need no table in memory. */
  | { readonly report: 'sealed'; readonly firstPosition: number }
  /** Writing has ended. Commits that begin below `unknownBelow` may or may not be on disk, others surely aren't. */
  | { readonly report: 'failed'; readonly cause: unknown; readonly unknownBelow: number }
  /** A derived file could not be written. Nothing is lost by it. */
  | { readonly report: 'derived-failed'; readonly what: string; readonly cause: unknown }
  /** Said by the encoder, to its owner. */
  | { readonly report: 'encoder'; readonly message: unknown };

export type ReportWriter = (report: WriterReport) => void;

/** Data that the thread needs to be ready: cloned, but for the shared memory in it. */
export interface WriterThreadData {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly hubWords: Int32Array;
  readonly directory: string;
  readonly identity: Uint8Array;
  readonly files: WorkerFiles;
  readonly settings: JournalSettings;
  readonly active: Omit<ActiveSegment, 'file' | 'offsets'>;
}

/** The first message to a thread that is ready: what its owner gives away. From then on only the thread writes. */
export interface WriterHandover {
  /** The offsets of the active segment, as a footer would hold them. */
  readonly offsets: Uint8Array;
  /** What the encoder knows; its own business. */
  readonly encoder: unknown;
}

export type WriterThreadOrder = WriterOrder | { readonly order: 'close' };

/** A bare 0 says that a watermark has moved; it is the frequent one. */
export type WriterMessage =
  | 0
  | WriterReport
  | { readonly report: 'closed' }
  /** It could not leave the folder at rest. */
  | { readonly report: 'not-closed'; readonly cause: unknown };
