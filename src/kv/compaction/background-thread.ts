/** The background on a thread of its own: requests to the disk block it, and between steps it looks for new orders. */
import { packError } from '../../base/error-transfer.ts';
import { loadComponent, receiveComponent } from '../../io/component.ts';
import { fileSystemOf } from '../../io/file-system-of.ts';
import { heldFileSystem } from '../../io/held-folder.ts';
import type { ThreadStarter } from '../../io/thread.ts';
import type {
  BackgroundOrder,
  BackgroundReport,
  BackgroundThreadData,
} from './background-messages.ts';
import { IngestFeed } from './ingest-feed.ts';
import type { Job, JobResult } from './job.ts';
import { JobScheduler, RunningJob, stepBlocking } from './job-scheduler.ts';
import { workOf } from './job-work.ts';
import { transferOf } from '../sstable/table-file.ts';
import type { JobParts } from './table-jobs.ts';
import type { TableSource } from './table-source.ts';
import { CountedTableNumbers } from './table-numbers.ts';

/** Waits for orders, by the thread's event loop, until the thread is ended. Never rejects. */
export async function runBackgroundThread(starter: ThreadStarter): Promise<void> {
  try {
    const parts = await prepareParts(starter.data as BackgroundThreadData);
    new BackgroundThread(starter, parts).listen();
  } catch (error) {
    starter.failed(error);
    return;
  }
  starter.ready();
}

async function prepareParts({
  fileSystem: sent,
  source: sentSource,
  held,
  directory,
  identity,
  numbers,
}: BackgroundThreadData): Promise<JobParts> {
  const base = await fileSystemOf(sent && receiveComponent(sent));
  const fileSystem = heldFileSystem(base, held);
  const counted = new CountedTableNumbers(numbers);
  const source = sentSource && (await loadComponent<TableSource>(receiveComponent(sentSource)));
  return { fileSystem, directory, identity, numbers: counted, failedSyncs: { count: 0 }, source };
}

class BackgroundThread {
  readonly #starter: ThreadStarter;
  readonly #parts: JobParts;
  readonly #scheduler = new JobScheduler();
  /** Of the ingest jobs that are not over. */
  readonly #feeds = new Map<number, IngestFeed>();

  constructor(starter: ThreadStarter, parts: JobParts) {
    this.#starter = starter;
    this.#parts = parts;
  }

  listen(): void {
    this.#starter.listen((message) => {
      this.#obey(message as BackgroundOrder);
      this.#work();
    });
  }

  /** Works until there is nothing to do, or nothing that can go on. */
  #work(): void {
    this.#receive();
    for (let job = this.#scheduler.next(); job !== undefined; job = this.#scheduler.next()) {
      stepBlocking(job);
      this.#receive();
    }
  }

  #receive(): void {
    for (
      let received = this.#starter.receive();
      received !== undefined;
      received = this.#starter.receive()
    ) {
      this.#obey(received.message as BackgroundOrder);
    }
  }

  #obey(order: BackgroundOrder): void {
    switch (order.order) {
      case 'job':
        this.#start(order.id, order.job);
        break;
      case 'piece':
        this.#feeds.get(order.id)?.push(order.piece);
        break;
      case 'end':
        this.#feeds.get(order.id)?.end();
        break;
      case 'abort':
        this.#feeds.get(order.id)?.abort();
        break;
      case 'cancel':
        this.#scheduler.cancel();
        break;
    }
  }

  #start(id: number, job: Job): void {
    const feed =
      job.kind === 'ingest' ? new IngestFeed(() => this.#post({ report: 'taken', id })) : undefined;
    if (feed !== undefined) {
      this.#feeds.set(id, feed);
    }
    const outcome = {
      succeeded: (result: JobResult) => {
        this.#feeds.delete(id);
        this.#post({ report: 'succeeded', id, result }, transferOf(result.images));
      },
      failed: (error: unknown) => {
        this.#feeds.delete(id);
        this.#post({ report: 'failed', id, cause: packError(error) });
      },
    };
    const work = workOf(job, feed, this.#parts);
    this.#scheduler.add(new RunningJob(job.kind, work, outcome, feed));
  }

  #post(report: BackgroundReport, transfer: readonly ArrayBuffer[] = []): void {
    this.#starter.post(report, transfer);
  }
}
