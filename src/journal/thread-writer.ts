/**
 * The writer's thread as the owner sees it. Started with the first frame; ends with `close`, or with the process.
 *
 *   starting ── ready ──▶ running        the owner gives away the file and what the encoder knows, then the orders kept so far
 *      └───── failed ───▶ inline         nothing was given away and no frame has a place yet: the owner goes on where it stands
 *                    ├──▶ (ended)        the same, where a thread was insisted on: writing ends before it began
 *                    └──▶ resting        the same, for want of descriptors or memory: the next wish for space starts another
 *
 * A frame gets its place when space for it was reported, so until the thread runs the lane is empty.
 */
import { assert } from '../base/assert.ts';
import { unpackError } from '../base/error-transfer.ts';
import { VarveError } from '../base/errors.ts';
import { reached } from '../base/reached.ts';
import { type ComponentModule, sendComponent } from '../io/component.ts';
import type { HeldDirectory } from '../io/file-system.ts';
import { isStartShortage, startThread, type Thread } from '../io/thread.ts';
import type { ThreadChoice } from '../io/thread-choice.ts';
import type { WorkerFile } from '../io/worker-modules.ts';
import { AtomicCells, type Cells } from './cells.ts';
import { HubCell, LaneCell, makeHubWords, makeLaneMemory } from './lane-layout.ts';
import { type JournalSettings, laneSizeOf } from './options.ts';
import type {
  WriterHandover,
  WriterMessage,
  WriterOrder,
  WriterThreadData,
} from './thread-messages.ts';
import type { ActiveSegment, WriterReports } from './writer.ts';
import type { StartWriter, WriterHost } from './writer-host.ts';

export interface ThreadWriterParts {
  /** What the thread runs: it calls `runWriterThread`. */
  readonly worker: WorkerFile;
  readonly directory: string;
  readonly identity: Uint8Array;
  /** How the thread gets its file system; undefined for the operating system's. */
  readonly fileSystem: ComponentModule | undefined;
  /** The store's folder, for the thread to work in. */
  readonly held?: HeldDirectory | undefined;
  /** Takes what the encoder knows away from this thread; buffers in `transfer` are moved, not copied. */
  readonly takeEncoder: () => { readonly state: unknown; readonly transfer: ArrayBuffer[] };
  /** What goes on in this thread if there can't be another; undefined if writing is to end then. */
  readonly otherwise: InlineInstead | undefined;
}

export interface InlineInstead {
  readonly startInline: StartWriter;
  /** Hears why. */
  readonly tell: (failure: VarveError) => void;
}

/** What may be asked for before anybody can do it. */
type Wish = Exclude<WriterOrder, { readonly order: 'close' }>;

/** What becomes of writing if the thread can't be started, as the store's owner chose. */
export function inlineInstead(
  { goInline }: ThreadChoice,
  startInline: StartWriter,
): InlineInstead | undefined {
  return goInline && { startInline, tell: goInline };
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
    const { file: _file, offsets: _offsets, ...rest } = active;
    const data: WriterThreadData = {
      ...memory,
      hubWords,
      directory: parts.directory,
      identity: parts.identity,
      fileSystem: parts.fileSystem === undefined ? undefined : sendComponent(parts.fileSystem),
      held: parts.held,
      settings,
      active: rest,
    };
    const host = new ThreadWriter(parts, data, active, reports, onDefect);
    return { memory, hubWords, host };
  };
}

class ThreadWriter implements WriterHost {
  readonly #parts: ThreadWriterParts;
  /** The owner's until it is given away. */
  readonly #active: ActiveSegment;
  readonly #data: WriterThreadData;
  #thread: Thread;
  readonly #cells: Cells;
  readonly #hub: Cells;
  readonly #reports: WriterReports;
  readonly #onDefect: (error: unknown) => void;
  /** What was wanted while the thread starts; undefined once that is over. */
  #early: Wish[] | undefined = [];
  /** Resolves when the start is over. */
  #started!: Promise<void>;
  #startIsOver!: () => void;
  /** There was not enough of something to start the thread. */
  #isResting = false;
  /** Works instead of the thread. */
  #inline: WriterHost | undefined;
  /** Settles `close`. */
  #closed: ((cause: Error | undefined) => void) | undefined;
  #hasEnded = false;
  /** It answers nothing: it has reported that it can't go on, or was not given what it needs. */
  #isDefunct = false;

  constructor(
    parts: ThreadWriterParts,
    data: WriterThreadData,
    active: ActiveSegment,
    reports: WriterReports,
    onDefect: (error: unknown) => void,
  ) {
    this.#parts = parts;
    this.#data = data;
    this.#active = active;
    this.#cells = new AtomicCells(data.words);
    this.#hub = new AtomicCells(data.hubWords);
    this.#reports = reports;
    this.#onDefect = onDefect;
    this.#thread = this.#startThread();
  }

  get isThread(): boolean {
    return this.#inline === undefined;
  }

  wake(): void {
    if (this.#inline === undefined) {
      this.#hub.notify(HubCell.asleep);
    } else {
      this.#inline.wake();
    }
  }

  wantSpace(index: number, size: number): void {
    this.#order({ order: 'space', index, size });
  }

  hold(isHeld: boolean): void {
    if (this.#inline === undefined) {
      this.#thread.hold(isHeld);
    } else {
      this.#inline.hold(isHeld);
    }
  }

  stop(): void {
    this.#order({ order: 'stop' });
  }

  async close(): Promise<void> {
    await this.#started;
    if (this.#isResting) {
      // Nothing was written: the next open finds everything as it is.
      this.#active.file.close();
      return;
    }
    if (this.#inline !== undefined) {
      await this.#thread.terminate();
      await this.#inline.close();
      return;
    }
    if (this.#hasEnded || this.#isDefunct) {
      // Something of a component's own may keep the thread alive. Its files are closed with it.
      await this.#thread.terminate();
      return;
    }
    const closed = new Promise<Error | undefined>((resolve) => {
      this.#closed = resolve;
    });
    this.#send({ order: 'close' });
    const cause = await closed;
    await this.#thread.terminate();
    if (cause !== undefined) {
      throw cause;
    }
  }

  #startThread(): Thread {
    this.#started = new Promise<void>((resolve) => {
      this.#startIsOver = resolve;
    });
    return startThread(this.#parts.worker, this.#data, {
      ready: () => this.#guarded(() => this.#handOver()),
      failed: (cause) => this.#guarded(() => this.#goOnWithout(cause)),
      message: (message) => this.#guarded(() => this.#hear(message as WriterMessage)),
      ended: (error) => this.#ended(error),
    });
  }

  /** The thread is ready, and from here on it writes. */
  #handOver(): void {
    const early = this.#takeEarly();
    this.#isDefunct = true;
    const { state, transfer } = this.#parts.takeEncoder();
    const { file, offsets } = this.#active;
    // From here on the file is the thread's.
    file.close();
    const handover: WriterHandover = { offsets: offsets.toBytes(), encoder: state };
    this.#thread.post(handover, transfer);
    this.#isDefunct = false;
    // Order: the message is on its way before the word announces it.
    this.#cells.add(LaneCell.orders, 1);
    this.#cells.notify(LaneCell.orders);
    for (const order of early) {
      this.#send(order);
    }
  }

  /** There is no thread, and never was one that could write. */
  #goOnWithout(cause: VarveError): void {
    const early = this.#takeEarly();
    const { otherwise } = this.#parts;
    if (otherwise === undefined && isStartShortage(cause)) {
      reached('a thread was not started for want of something');
      this.#isResting = true;
      this.#reports.noSpace(cause);
      return;
    }
    if (otherwise === undefined) {
      this.#hasEnded = true;
      this.#active.file.close();
      this.#onDefect(cause);
      return;
    }
    reached('went on without a thread');
    const { words, bytes, hubWords } = this.#data;
    const memory = { words, bytes };
    const given = { memory, hubWords };
    this.#inline = otherwise.startInline(this.#reports, this.#onDefect, given).host;
    otherwise.tell(cause);
    for (const order of early) {
      this.#order(order);
    }
  }

  #takeEarly(): readonly Wish[] {
    const early = this.#early;
    assert(early !== undefined, 'a thread starts once');
    this.#early = undefined;
    this.#startIsOver();
    return early;
  }

  #order(order: Wish): void {
    if (this.#isResting) {
      if (order.order === 'space') {
        this.#isResting = false;
        this.#early = [order];
        this.#thread = this.#startThread();
        this.#thread.hold(true);
      }
    } else if (this.#early !== undefined) {
      this.#early.push(order);
    } else if (this.#inline === undefined) {
      this.#send(order);
    } else {
      obeyInline(this.#inline, order);
    }
  }

  #send(order: WriterOrder): void {
    if (!this.#hasEnded) {
      this.#thread.post(order);
    }
    // Order: the message is on its way before the word announces it, and that before the writer's sleep is looked at.
    this.#cells.add(LaneCell.orders, 1);
    if (this.#hub.exchange(HubCell.asleep, 0) === 1) {
      this.wake();
    }
  }

  /** What fails in here is the owner's defect, as it is where both share a thread: nobody above would hear of it. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#onDefect(error);
    }
  }

  #hear(message: WriterMessage): void {
    // Order: "look again" is promised before the watermarks are looked at.
    this.#cells.store(LaneCell.told, 0);
    this.#reports.durable();
    if (message !== 0) {
      this.#dispatch(message);
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

function obeyInline(host: WriterHost, order: Wish): void {
  switch (order.order) {
    case 'space':
      host.wantSpace(order.index, order.size);
      break;
    case 'stop':
      host.stop();
      break;
  }
}
