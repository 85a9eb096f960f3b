/** The background on a thread of its own: steps block it, and between them it looks for new orders. */
import type { ThreadStarter } from '../../io/thread.ts';
import { receiveFiles, runWorker } from '../../io/worker-host.ts';
import type { BackgroundOrder, BackgroundThreadData } from './background-messages.ts';
import { JobRunner, stepBlocking } from './job-runner.ts';
import { transferOf } from '../sstable/table-file.ts';
import type { JobParts } from './table-jobs.ts';
import { CountedTableNumbers } from './table-numbers.ts';
import type { TableSource } from './table-source.ts';

/** Waits for orders, by the thread's event loop, until the thread is ended. `source`: what build jobs read. Never rejects. */
export function runBackgroundThread(starter: ThreadStarter, source?: TableSource): Promise<void> {
  const { files, directory, identity, numbers } = starter.data as BackgroundThreadData;
  const prepare = async (): Promise<JobParts> => ({
    fileSystem: await receiveFiles(files),
    directory,
    identity,
    numbers: new CountedTableNumbers(numbers),
    failedSyncs: { count: 0 },
    source,
  });
  return runWorker(starter, prepare, (parts) => listen(starter, parts));
}

function listen(starter: ThreadStarter, parts: JobParts): void {
  const runner = new JobRunner(parts, (report) =>
    starter.post(report, report.report === 'succeeded' ? transferOf(report.result.images) : []),
  );
  const receive = (): void => {
    for (let next = starter.receive(); next !== undefined; next = starter.receive()) {
      runner.obey(next.message as BackgroundOrder);
    }
  };
  starter.listen((message) => {
    runner.obey(message as BackgroundOrder);
    receive();
    for (let job = runner.next(); job !== undefined; job = runner.next()) {
      stepBlocking(job);
      receive();
    }
  });
}
