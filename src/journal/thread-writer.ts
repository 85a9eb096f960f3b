/**
 * The writer's thread as the owner sees it. Started with the first order; ends with `close`, or with the process. What its host
 * (`io/worker-host.ts`) does when it can't be started means here:
 *
 *   inline      nothing was given away and no frame has a place yet: the owner goes on where it stands
 *   none        where a thread was insisted on: writing ends before it began; for want of descriptors or memory it rests, and the next
 *               wish for space starts another thread
 *
 * A frame gets its place when space for it was reported, so until the thread runs the lane is empty.
 */
import type { VarveError } from '../base/errors.ts';
import { reached } from '../base/reached.ts';
import type { HeldDirectory } from '../io/file-system.ts';
import { isStartShortage } from '../io/thread.ts';
import type { ThreadChoice } from '../io/thread-choice.ts';
import { sendFiles, WorkerHost } from '../io/worker-host.ts';
import type { WorkerFile } from '../io/worker-modules.ts';
import { AtomicCells, type Cells } from './cells.ts';
import { HubCell, LaneCell, makeHubWords, makeLaneMemory } from './lane-layout.ts';
import { type JournalSettings, laneSizeOf } from './options.ts';
import type { ActiveSegment } from './writer.ts';
import type { StartWriter, WriterHost } from './writer-host.ts';
import type {
  ReportWriter,
  WriterHandover,
  WriterMessage,
  WriterOrder,
  WriterThreadData,
  WriterThreadOrder,
} from './writer-messages.ts';

export interface ThreadWriterParts {
  /** What the thread runs: it calls `runWriterThread`. */
  readonly worker: WorkerFile;
  readonly directory: string;
  readonly identity: Uint8Array;
  /** The store's folder, for the thread to work in. */
  readonly held?: HeldDirectory | undefined;
  readonly threads: Pick<ThreadChoice, 'goInline' | 'namedFileSystem'>;
  /** What goes on in this thread if there can't be another, where that is wanted. */
  readonly startInline: StartWriter;
  /** Takes what the encoder knows away from this thread; buffers in `transfer` are moved, not copied. Default: it knows nothing. */
  readonly takeEncoder?: () => { readonly state: unknown; readonly transfer: ArrayBuffer[] };
}

/** Has the writer run on a thread of its own. */
export function threadWriter(
  parts: ThreadWriterParts,
  settings: JournalSettings,
  active: ActiveSegment,
): StartWriter {
  return (report, onDefect) => {
    const memory = makeLaneMemory(laneSizeOf(settings), true);
    const hubWords = makeHubWords(true);
    const { file: _file, offsets: _offsets, ...rest } = active;
    const { directory, identity } = parts;
    const files = sendFiles(parts.threads.namedFileSystem, parts.held);
    const place = { directory, identity, files, settings };
    const data: WriterThreadData = { ...memory, hubWords, ...place, active: rest };
    return { memory, hubWords, host: new ThreadWriter(parts, data, active, report, onDefect) };
  };
}

class ThreadWriter implements WriterHost {
  readonly #worker: WorkerHost<WriterThreadOrder, WriterMessage, WriterHost>;
  readonly #takeEncoder: NonNullable<ThreadWriterParts['takeEncoder']>;
  /** The owner's until it is given away. */
  #active: ActiveSegment | undefined;
  readonly #cells: Cells;
  readonly #hub: Cells;
  readonly #report: ReportWriter;
  readonly #onDefect: (error: unknown) => void;
  /** Settles `close`. */
  #closed: ((failure: { readonly cause: unknown } | undefined) => void) | undefined;
  #hasEnded = false;

  constructor(
    { worker: file, threads, startInline, takeEncoder = knowsNothing }: ThreadWriterParts,
    data: WriterThreadData,
    active: ActiveSegment,
    report: ReportWriter,
    onDefect: (error: unknown) => void,
  ) {
    this.#takeEncoder = takeEncoder;
    this.#active = active;
    this.#cells = new AtomicCells(data.words);
    this.#hub = new AtomicCells(data.hubWords);
    this.#report = report;
    this.#onDefect = onDefect;
    const given = { memory: data, hubWords: data.hubWords };
    this.#worker = new WorkerHost(
      {
        file,
        data,
        purpose: 'that writes the log',
        goInline: threads.goInline,
        startInline: () => startInline(report, onDefect, given).host,
      },
      {
        handOver: (post) => this.#handOver(post),
        posted: () => this.#announce(),
        hear: (message) => this.#hear(message),
        failed: (cause) => this.#failed(cause),
        ended: (cause) => this.#ended(cause),
      },
    );
  }

  get isThread(): boolean {
    return this.#worker.inline === undefined;
  }

  wake(): void {
    const { inline } = this.#worker;
    if (inline === undefined) {
      this.#hub.notify(HubCell.asleep);
    } else {
      inline.wake();
    }
  }

  order(order: WriterOrder): void {
    // Nobody is started to be stopped.
    if (!this.#hasEnded && (order.order === 'space' || this.#worker.isActive)) {
      this.#worker.order(order);
    }
  }

  hold(isHeld: boolean): void {
    this.#worker.hold(isHeld);
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    await worker.whenStarted();
    if (worker.isRunning) {
      const closed = new Promise<{ readonly cause: unknown } | undefined>((resolve) => {
        this.#closed = resolve;
      });
      worker.order({ order: 'close' });
      const failure = await closed;
      await worker.close();
      if (failure !== undefined) {
        throw failure.cause;
      }
      return;
    }
    if (worker.inline === undefined) {
      // Nothing was written: the next open finds everything as it is.
      this.#active?.file.close();
    }
    await worker.close();
  }

  /** From here on only the thread writes. */
  #handOver(post: (message: unknown, transfer: readonly ArrayBuffer[]) => void): void {
    const { file, offsets } = this.#active!;
    const { state, transfer } = this.#takeEncoder();
    file.close();
    this.#active = undefined;
    const handover: WriterHandover = { offsets: offsets.toBytes(), encoder: state };
    post(handover, transfer);
  }

  /** Order: a message is on its way before the word announces it, and that before the writer's sleep is looked at. */
  #announce(): void {
    this.#cells.add(LaneCell.orders, 1);
    this.#cells.notify(LaneCell.orders);
    if (this.#hub.exchange(HubCell.asleep, 0) === 1) {
      this.#hub.notify(HubCell.asleep);
    }
  }

  #failed(cause: VarveError): void {
    if (isStartShortage(cause)) {
      reached('a thread was not started for want of something');
      this.#report({ report: 'no-space', cause });
    } else {
      this.#hasEnded = true;
      this.#onDefect(cause);
    }
  }

  #hear(message: WriterMessage): void {
    // Order: "look again" is promised before the watermarks are looked at.
    this.#cells.store(LaneCell.told, 0);
    this.#report({ report: 'durable' });
    if (message === 0) {
      return;
    }
    if (message.report === 'closed') {
      this.#closed?.(undefined);
    } else if (message.report === 'not-closed') {
      this.#closed?.(message);
    } else {
      this.#report(message);
    }
  }

  /** Unless it was closed, nothing more becomes durable, and nobody knows what has. */
  #ended(cause: unknown): void {
    this.#hasEnded = true;
    if (this.#closed !== undefined) {
      this.#closed({ cause });
      return;
    }
    try {
      this.#report({ report: 'durable' });
    } catch {
      // Whoever fails at hearing this has failed before: that is the cause.
    }
    this.#onDefect(cause);
  }
}

function knowsNothing(): { readonly state: undefined; readonly transfer: ArrayBuffer[] } {
  return { state: undefined, transfer: [] };
}
