/** The writer's thread as the owner sees it. Started with the first frame; ends with `close`, or with the process. */
import { unpackError } from '../base/error-transfer.ts';
import { VarveError } from '../base/errors.ts';
import { type ComponentModule, sendComponent } from '../io/component.ts';
import type { HeldDirectory } from '../io/file-system.ts';
import { startThread, type Thread } from '../io/thread.ts';
import { AtomicCells, type Cells } from './cells.ts';
import { HubCell, LaneCell, makeHubWords, makeLaneMemory } from './lane-layout.ts';
import { type JournalSettings, laneSizeOf } from './options.ts';
import type { WriterMessage, WriterOrder, WriterThreadData } from './thread-messages.ts';
import type { ActiveSegment, WriterReports } from './writer.ts';
import type { StartWriter, WriterHost } from './writer-host.ts';

export interface ThreadWriterParts {
  /** The module that the thread runs: it calls `runWriterThread`. */
  readonly module: URL;
  readonly directory: string;
  readonly identity: Uint8Array;
  /** How the thread gets its file system; undefined for the operating system's. */
  readonly fileSystem: ComponentModule | undefined;
  /** The store's folder, for the thread to work in. */
  readonly held?: HeldDirectory | undefined;
  /** Takes what the encoder knows away from this thread; buffers in `transfer` are moved, not copied. */
  readonly takeEncoder: () => { readonly state: unknown; readonly transfer: ArrayBuffer[] };
}

/** Has the writer run on a thread of its own. */
export function threadWriter(
  parts: ThreadWriterParts,
  settings: JournalSettings,
  active: ActiveSegment,
): StartWriter {
  return (reports, onDefect) => {
    const memory = makeLaneMemory(laneSizeOf(settings), true);
    const hubWords = makeHubWords(true);
    const { state, transfer } = parts.takeEncoder();
    const { file, offsets, ...rest } = active;
    // From here on the file is the thread's.
    file.close();
    const data: WriterThreadData = {
      ...memory,
      hubWords,
      directory: parts.directory,
      identity: parts.identity,
      fileSystem: parts.fileSystem === undefined ? undefined : sendComponent(parts.fileSystem),
      held: parts.held,
      settings,
      active: { ...rest, offsets: offsets.toBytes() },
      encoder: state,
    };
    const host = new ThreadWriter(parts.module, data, transfer, reports, onDefect);
    return { memory, hubWords, host };
  };
}

class ThreadWriter implements WriterHost {
  readonly isThread = true;
  /** Undefined if it could not be started. */
  readonly #thread: Thread | undefined;
  readonly #cells: Cells;
  readonly #hub: Cells;
  readonly #reports: WriterReports;
  readonly #onDefect: (error: unknown) => void;
  /** Settles `close`. */
  #closed: ((cause: Error | undefined) => void) | undefined;
  #hasEnded = false;
  /** It has reported that it can't go on, and answers nothing any more. */
  #isDefunct = false;

  constructor(
    module: URL,
    data: WriterThreadData,
    transfer: readonly ArrayBuffer[],
    reports: WriterReports,
    onDefect: (error: unknown) => void,
  ) {
    this.#cells = new AtomicCells(data.words);
    this.#hub = new AtomicCells(data.hubWords);
    this.#reports = reports;
    this.#onDefect = onDefect;
    try {
      this.#thread = startThread(module, data, transfer, {
        message: (message) => this.#hear(message as WriterMessage),
        ended: (error) => this.#ended(error),
      });
    } catch (error) {
      // The owner is in the middle of asking for room: it hears of this when the call has returned.
      void Promise.resolve().then(() => this.#ended(error));
    }
  }

  wake(): void {
    this.#hub.notify(HubCell.asleep);
  }

  wantSpace(index: number, size: number): void {
    this.#send({ order: 'space', index, size });
  }

  wantTail(): void {
    this.#send({ order: 'tail' });
  }

  hold(isHeld: boolean): void {
    this.#thread?.hold(isHeld);
  }

  stop(): void {
    this.#send({ order: 'stop' });
  }

  async close(): Promise<void> {
    if (this.#hasEnded) {
      return;
    }
    if (this.#isDefunct) {
      // Something of a component's own may keep the thread alive. Its files are closed with it.
      await this.#thread?.terminate();
      return;
    }
    const closed = new Promise<Error | undefined>((resolve) => {
      this.#closed = resolve;
    });
    this.#send({ order: 'close' });
    const cause = await closed;
    await this.#thread?.terminate();
    if (cause !== undefined) {
      throw cause;
    }
  }

  #send(order: WriterOrder): void {
    this.#thread?.post(order);
    // Order: the message is on its way before the word announces it, and that before the writer's sleep is looked at.
    this.#cells.add(LaneCell.orders, 1);
    if (this.#hub.exchange(HubCell.asleep, 0) === 1) {
      this.wake();
    }
  }

  /** What fails in here is the owner's defect, as it is where both share a thread: nobody above would hear of it. */
  #hear(message: WriterMessage): void {
    try {
      // Order: "look again" is promised before the watermarks are looked at.
      this.#cells.store(LaneCell.told, 0);
      this.#reports.durable();
      if (message !== 0) {
        this.#dispatch(message);
      }
    } catch (error) {
      this.#onDefect(error);
    }
  }

  #dispatch(message: Exclude<WriterMessage, 0>): void {
    const reports = this.#reports;
    switch (message.report) {
      case 'prepared':
        reports.prepared(message.index, message.size, message.isScarce);
        break;
      case 'no-space':
        reports.noSpace(unpackError(message.cause));
        break;
      case 'rotated':
        reports.rotated(message.firstPosition);
        break;
      case 'sealed':
        reports.sealed(message.firstPosition);
        break;
      case 'failed':
        reports.failed(unpackError(message.cause), message.unknownBelow);
        break;
      case 'derived-failed':
        reports.derivedFailed(message.what, unpackError(message.cause));
        break;
      case 'defect':
        this.#isDefunct = true;
        this.#onDefect(unpackError(message.cause));
        break;
      case 'closed':
        this.#closed?.(message.cause === undefined ? undefined : unpackError(message.cause));
        break;
    }
  }

  /** The thread is gone. Unless it was closed, nothing more becomes durable, and nobody knows what has. */
  #ended(error: unknown): void {
    this.#hasEnded = true;
    const cause =
      error instanceof Error
        ? error
        : new VarveError('UNAVAILABLE', 'The thread that writes the log has been ended.', {
            cause: error,
          });
    if (this.#closed === undefined) {
      this.#reports.durable();
      this.#onDefect(cause);
    } else {
      this.#closed(cause);
    }
  }
}
