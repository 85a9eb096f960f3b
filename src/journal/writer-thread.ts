/**
 * The writer on a thread of its own: blocks while there is nothing to do and while the disk is busy, unless more frames
 * wait to be finished meanwhile. Words, orders and their order: lane-layout.ts.
 */
import type { File, FileSystem } from '../io/file-system.ts';
import { elapsedMs } from '../io/node-clock.ts';
import { joinPath } from '../io/path.ts';
import { runBlocking, runOverlapped } from '../io/steps.ts';
import { hasSeveralProcessors, type ThreadStarter } from '../io/thread.ts';
import { receiveFiles, runWorker } from '../io/worker-host.ts';
import { AtomicCells, type Cells } from './cells.ts';
import type { FrameEncoder } from './encoder.ts';
import { segmentName } from './format.ts';
import { distance, HubCell, LaneCell } from './lane-layout.ts';
import { LaneConsumer } from './lane.ts';
import { OffsetTable } from './offset-table.ts';
import { JournalWriter, TAIL_DELAY_MS } from './writer.ts';
import type {
  WriterHandover,
  WriterMessage,
  WriterReport,
  WriterThreadData,
  WriterThreadOrder,
} from './writer-messages.ts';

/** A pause between batches is shorter: whoever is to be acknowledged and to append again needs a moment. */
const TIDY_AFTER_MS = 2;

/**
 * How often it looks for frames before it sleeps: about 0.1 ms. Whoever has just been acknowledged often appends again at once,
 * and sleeping and being woken takes as long (measured: 1.16 times the appends with 16 in flight, 1.03 with 1).
 */
const LOOKS = 10_000;

/** Runs until the owner has it close. `makeEncoder` gets what the owner's encoder gave away. Never rejects. */
export function runWriterThread(
  starter: ThreadStarter,
  makeEncoder: (state: unknown) => FrameEncoder,
): Promise<void> {
  const data = starter.data as WriterThreadData;
  const run = async (disk: Disk): Promise<void> => {
    const cells = new AtomicCells(data.words);
    const handover = receiveHandover(starter, cells);
    const encoder = makeEncoder(handover.encoder);
    await new WriterThread(starter, data, cells, disk, encoder, handover.offsets).run();
  };
  return runWorker(starter, () => prepareDisk(data), run);
}

interface Disk {
  readonly fileSystem: FileSystem;
  /** The active segment. */
  readonly file: File;
}

/** Writes nothing. */
async function prepareDisk({ files, directory, active }: WriterThreadData): Promise<Disk> {
  const fileSystem = await receiveFiles(files);
  const path = joinPath(directory, segmentName(active.firstPosition));
  return { fileSystem, file: fileSystem.open(path, 'write') };
}

/** Blocks until the owner has given away what it had kept. */
function receiveHandover(starter: ThreadStarter, cells: Cells): WriterHandover {
  for (;;) {
    const received = starter.receive();
    if (received !== undefined) {
      return received.message as WriterHandover;
    }
    // Order: the message is on its way before the word announces it; the word may be seen before the message.
    cells.wait(LaneCell.orders, 0);
  }
}

class WriterThread {
  readonly #starter: ThreadStarter;
  readonly #cells: Cells;
  readonly #hub: Cells;
  readonly #lane: LaneConsumer;
  readonly #writer: JournalWriter;
  /** The handover was the first. */
  #ordersReceived = 1;
  #writtenTold = 0;
  #isClosing = false;
  #isIdle = false;
  /** Nothing has happened since all was in order. */
  #hasTidied = false;
  /** When the tail file must be brought up to date, in `elapsedMs`; undefined if it says what is durable. */
  #tailDueMs: number | undefined;

  constructor(
    starter: ThreadStarter,
    data: WriterThreadData,
    cells: Cells,
    { fileSystem, file }: Disk,
    encoder: FrameEncoder,
    offsets: Uint8Array,
  ) {
    this.#starter = starter;
    this.#cells = cells;
    this.#hub = new AtomicCells(data.hubWords);
    this.#lane = new LaneConsumer(data, this.#cells, () => {});
    const { directory, identity, settings, active } = data;
    this.#writer = new JournalWriter(
      { fileSystem, directory, identity, encoder },
      this.#lane,
      (report) => this.#hear(report),
      settings,
      { ...active, file, offsets: OffsetTable.fromBytes(offsets) },
    );
  }

  async run(): Promise<void> {
    while (!(this.#isClosing && this.#isIdle)) {
      this.#receiveOrders();
      this.#watchTail();
      const step = runOverlapped(this.#writer.step());
      this.#isIdle = (step instanceof Promise ? await step : step) === 'idle';
      if (this.#isIdle && !this.#isClosing && !this.#seesMore()) {
        this.#rest();
      }
    }
    this.#close();
  }

  /** The tail file is owed from the first batch on that it does not cover, whatever comes after. */
  #watchTail(): void {
    if (this.#writer.hasFailed || !this.#writer.owesTail) {
      this.#tailDueMs = undefined;
      return;
    }
    const nowMs = elapsedMs();
    this.#tailDueMs ??= nowMs + TAIL_DELAY_MS;
    if (nowMs >= this.#tailDueMs) {
      this.#tailDueMs = nowMs + TAIL_DELAY_MS;
      this.#writer.wantTail();
    }
  }

  /** After work, and where this doesn't keep the owner from running: waits a moment for more of it. */
  #seesMore(): boolean {
    const isPointless = this.#hasTidied || this.#writer.hasFailed || !hasSeveralProcessors();
    const looks = isPointless ? 0 : LOOKS;
    for (let look = 0; look < looks; look += 1) {
      if (this.#lane.hasNews()) {
        return true;
      }
    }
    return false;
  }

  /** Nobody waits: puts things in order if that lasts, and sleeps when all is done. */
  #rest(): void {
    const tidies = !this.#hasTidied;
    const sleepMs = tidies ? TIDY_AFTER_MS : this.#untilTailMs();
    if (!this.#fallAsleep()) {
      this.#hasTidied = false;
      return;
    }
    this.#hub.wait(HubCell.asleep, 1, sleepMs);
    if (this.#hub.exchange(HubCell.asleep, 0) === 0) {
      // Somebody woke this thread.
      this.#hasTidied = false;
      return;
    }
    if (tidies) {
      this.#hasTidied = runBlocking(this.#writer.tidy()) === 'idle';
    }
  }

  #untilTailMs(): number | undefined {
    const isDue = this.#tailDueMs !== undefined && this.#writer.owesTail;
    return isDue ? Math.max(0, this.#tailDueMs! - elapsedMs()) : undefined;
  }

  #receiveOrders(): void {
    const sent = this.#cells.load(LaneCell.orders);
    while (this.#ordersReceived !== sent) {
      const received = this.#starter.receive();
      // The word may be seen before the message that it announces.
      if (received !== undefined) {
        this.#ordersReceived = (this.#ordersReceived + 1) | 0;
        this.#obey(received.message as WriterThreadOrder);
      }
    }
  }

  #obey(order: WriterThreadOrder): void {
    if (order.order === 'close') {
      this.#isClosing = true;
    } else {
      this.#writer.obey(order);
    }
  }

  /** True if there is nothing to do: who has something sees that this thread sleeps, and wakes it. */
  #fallAsleep(): boolean {
    this.#hub.store(HubCell.asleep, 1);
    // Order: asleep before lane and orders are looked at once more.
    this.#lane.refresh();
    const hasFrames = this.#lane.waitingSize > 0 && !this.#writer.hasFailed;
    if (hasFrames || this.#cells.load(LaneCell.orders) !== this.#ordersReceived) {
      this.#hub.store(HubCell.asleep, 0);
      return false;
    }
    return true;
  }

  #close(): void {
    try {
      runBlocking(this.#writer.close());
      this.#post({ report: 'closed' });
    } catch (cause) {
      this.#post({ report: 'not-closed', cause });
    }
  }

  #post(message: WriterMessage): void {
    this.#starter.post(message);
  }

  /** Says that a watermark has moved, unless the owner has yet to look since it was told last. */
  #tell(): void {
    if (this.#cells.exchange(LaneCell.told, 1) === 0) {
      this.#post(0);
    }
  }

  /** What the writer reports: watermarks are words, the rest are messages. */
  #hear(report: WriterReport): void {
    if (report.report === 'written') {
      this.#tellWritten();
    } else if (report.report === 'durable') {
      this.#tell();
    } else {
      this.#post(report);
    }
  }

  #tellWritten(): void {
    const wanted = this.#cells.load(LaneCell.wanted);
    const isWanted = distance(wanted, this.#writtenTold) > 0;
    // Also if nobody wanted to hear of it: an address left behind for 16 GiB would look like one ahead.
    this.#writtenTold = this.#cells.load(LaneCell.written);
    if (isWanted) {
      this.#tell();
    }
  }
}
