/** What the owner and the writer's thread say to each other besides frames and watermarks. */
import type { PackedError } from '../base/error-transfer.ts';
import type { SentComponent } from '../io/component.ts';
import type { HeldDirectory } from '../io/file-system.ts';
import type { JournalSettings } from './options.ts';
import type { ActiveSegment } from './writer.ts';

/** What the thread needs to be ready: cloned, but for the shared memory in it. */
export interface WriterThreadData {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly hubWords: Int32Array;
  readonly directory: string;
  readonly identity: Uint8Array;
  /** Undefined for the operating system's. */
  readonly fileSystem: SentComponent | undefined;
  readonly held: HeldDirectory | undefined;
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

/** From the owner. */
export type WriterOrder =
  | { readonly order: 'space'; readonly index: number; readonly size: number }
  | { readonly order: 'stop' }
  | { readonly order: 'close' };

/** From the writer. A bare 0 says that a watermark has moved; it is the frequent one. */
export type WriterMessage =
  | 0
  | {
      readonly report: 'prepared';
      readonly index: number;
      readonly size: number;
      readonly isScarce: boolean;
    }
  | { readonly report: 'no-space'; readonly cause: PackedError }
  | { readonly report: 'rotated'; readonly firstPosition: number }
  | { readonly report: 'sealed'; readonly firstPosition: number }
  | { readonly report: 'failed'; readonly cause: PackedError; readonly unknownBelow: number }
  | { readonly report: 'derived-failed'; readonly what: string; readonly cause: PackedError }
  /** The writer has done something that must not happen. */
  | { readonly report: 'defect'; readonly cause: PackedError }
  | { readonly report: 'closed'; readonly cause: PackedError | undefined };
