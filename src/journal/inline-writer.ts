/** The writer in the owner's event loop: the same steps, with nothing that blocks for long. */
import type { Clock, Timer } from '../io/clock.ts';
import { AtomicCells, type Cells } from './cells.ts';
import { runAsync } from '../io/steps.ts';
import { HubCell, makeHubWords, makeLaneMemory } from './lane-layout.ts';
import { LaneConsumer } from './lane.ts';
import { type JournalSettings, laneSizeOf } from './options.ts';
import { type ActiveSegment, JournalWriter, TAIL_DELAY_MS, type WriterParts } from './writer.ts';
import type { StartWriter, WriterHost } from './writer-host.ts';
import type { WriterOrder } from './writer-messages.ts';

/** Has the writer run where the owner runs. */
export function inlineWriter(
  parts: WriterParts & { readonly clock: Clock },
  settings: JournalSettings,
  active: ActiveSegment,
): StartWriter {
  return (report, onDefect, given) => {
    const memory = given?.memory ?? makeLaneMemory(laneSizeOf(settings), false);
    const hubWords = given?.hubWords ?? makeHubWords(false);
    const consumer = new LaneConsumer(memory, new AtomicCells(memory.words), ignoreWaiting);
    const writer = new JournalWriter(parts, consumer, report, settings, active);
    const hub = new AtomicCells(hubWords);
    const host = new InlineWriter(writer, consumer, hub, parts.clock, onDefect);
    return { memory, hubWords, host };
  };
}

/** The owner never waits for the lane: it hears of every step that makes room. */
function ignoreWaiting(): void {}

class InlineWriter implements WriterHost {
  readonly isThread = false;
  readonly #writer: JournalWriter;
  readonly #lane: LaneConsumer;
  readonly #hub: Cells;
  readonly #clock: Clock;
  readonly #onDefect: (error: unknown) => void;
  #running: Promise<void> | undefined;
  #hasWish = false;
  #tailTimer: Timer | undefined;

  /** `onDefect` hears of what must not happen: nothing after it can be trusted. */
  constructor(
    writer: JournalWriter,
    lane: LaneConsumer,
    hub: Cells,
    clock: Clock,
    onDefect: (error: unknown) => void,
  ) {
    this.#writer = writer;
    this.#lane = lane;
    this.#hub = hub;
    this.#clock = clock;
    this.#onDefect = onDefect;
    hub.store(HubCell.asleep, 1);
  }

  wake(): void {
    this.#running ??= this.#run();
  }

  order(order: WriterOrder): void {
    this.#writer.obey(order);
    this.#wish();
  }

  hold(): void {
    // What is in flight is held by the calls to the disk.
  }

  async close(): Promise<void> {
    while (this.#running !== undefined) {
      await this.#running;
    }
    this.#tailTimer?.cancel();
    await runAsync(this.#writer.close(), this.#clock);
  }

  #wish(): void {
    this.#hasWish = true;
    this.#hub.store(HubCell.asleep, 0);
    this.wake();
  }

  /** Works until there is nothing to do. Between batches everything that is ready runs, so that it joins the next batch. */
  async #run(): Promise<void> {
    // Whoever woke the writer finishes what it is doing first.
    await Promise.resolve();
    try {
      do {
        // Order: the wish is cleared before the step looks at it, so a wish that comes during a step is seen.
        this.#hasWish = false;
        while (await this.#work()) {
          await this.#clock.pause();
        }
      } while (!this.#fallAsleep());
    } catch (error) {
      this.#onDefect(error);
    } finally {
      this.#running = undefined;
    }
  }

  async #work(): Promise<boolean> {
    const hasWorked =
      (await runAsync(this.#writer.step(), this.#clock)) === 'wrote' ||
      (await runAsync(this.#writer.tidy(), this.#clock)) === 'wrote';
    this.#watchTail();
    return hasWorked;
  }

  /** Idle or not, what is durable gets into the tail file in time. */
  #watchTail(): void {
    if (this.#tailTimer !== undefined || !this.#writer.owesTail) {
      return;
    }
    this.#tailTimer = this.#clock.schedule(TAIL_DELAY_MS, () => {
      this.#tailTimer = undefined;
      if (!this.#writer.hasFailed) {
        this.#writer.wantTail();
        this.#wish();
      }
    });
  }

  #fallAsleep(): boolean {
    if (this.#hasWish) {
      return false;
    }
    this.#hub.store(HubCell.asleep, 1);
    this.#lane.refresh();
    if (this.#lane.waitingSize > 0 && !this.#writer.hasFailed) {
      this.#hub.store(HubCell.asleep, 0);
      return false;
    }
    return true;
  }
}
