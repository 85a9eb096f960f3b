/** The background in the owner's event loop: one step at a time, with a turn of the loop between them. */
import type { Clock } from '../../io/clock.ts';
import type { Worker } from '../../io/worker-host.ts';
import type { Background } from './background.ts';
import type { BackgroundOrder, BackgroundReport } from './background-messages.ts';
import { JobRunner, stepAsync } from './job-runner.ts';
import { JobSender } from './job-sender.ts';
import type { JobParts } from './table-jobs.ts';

/** Same calls, same disk: the same bytes in the same order. */
export function inlineBackground(parts: JobParts, clock: Clock): Background {
  return new JobSender((sender) => new InlineJobs(parts, clock, (report) => sender.hear(report)));
}

export class InlineJobs implements Worker<BackgroundOrder> {
  readonly #runner: JobRunner;
  readonly #clock: Clock;
  #running: Promise<void> | undefined;

  constructor(parts: JobParts, clock: Clock, report: (report: BackgroundReport) => void) {
    this.#runner = new JobRunner(parts, report);
    this.#clock = clock;
  }

  order(order: BackgroundOrder): void {
    this.#runner.obey(order);
    this.#running ??= this.#run();
  }

  hold(): void {
    // What is under way is held by its calls to the disk.
  }

  async close(): Promise<void> {
    while (this.#running !== undefined) {
      await this.#running;
    }
  }

  /** Works until there is nothing to do, or nothing that can go on. */
  async #run(): Promise<void> {
    // Whoever asks for a job finishes what it is doing first.
    await Promise.resolve();
    // Order: nothing is awaited between finding no job and saying so, or an order that comes then would lie about.
    for (let job = this.#runner.next(); job !== undefined; job = this.#runner.next()) {
      await stepAsync(job, this.#clock);
    }
    this.#running = undefined;
  }
}
