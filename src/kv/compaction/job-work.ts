import { assert } from '../../base/assert.ts';
import { asVarveError, VarveError } from '../../base/errors.ts';
import { finishReplacement, prepareReplacement } from '../../io/atomic-file.ts';
import { MANIFEST_NAME } from '../sstable/names.ts';
import type { IngestFeed } from './ingest-feed.ts';
import type { Job, JobResult, ManifestJob, RemoveJob } from './job.ts';
import { pause, type Work } from '../../io/steps.ts';
import { type JobParts, runCompaction, runFlush, runIngest } from './table-jobs.ts';

/** A job as a coroutine. Nothing happens before its first step. */
export function workOf(job: Job, feed: IngestFeed | undefined, parts: JobParts): Work<JobResult> {
  switch (job.kind) {
    case 'flush':
      return runFlush(job, parts);
    case 'compact':
      return runCompaction(job, parts);
    case 'ingest':
      assert(feed !== undefined, 'an ingest job has a feed');
      return runIngest(job, feed, parts);
    case 'remove':
      return runRemove(job, parts);
    case 'manifest':
      break;
  }
  return runManifest(job, parts);
}

// oxlint-disable-next-line require-yield -- its steps can't be told apart: the content must be durable before its name is
function* runManifest(
  { content }: ManifestJob,
  { fileSystem, directory }: JobParts,
): Work<JobResult> {
  try {
    prepareReplacement(fileSystem, directory, MANIFEST_NAME, content);
  } catch (error) {
    throw notReplaced(error);
  }
  finishReplacement(fileSystem, directory, MANIFEST_NAME);
  return { tables: [], bytesRead: 0, bytesWritten: content.length };
}

/** The manifest is the one before, and no power cut brings the other. */
function notReplaced(error: unknown): VarveError {
  const { code, message, details, cause } = asVarveError(error, 'The manifest can not be written');
  return new VarveError(code, message, { cause, details, applied: 'no' });
}

/** Freeing a large file's blocks takes a file system some ms: its owner has better things to do. */
function* runRemove({ paths }: RemoveJob, parts: JobParts): Work<JobResult> {
  for (const path of paths) {
    parts.fileSystem.remove(path);
    yield pause;
  }
  return { tables: [], bytesRead: 0, bytesWritten: 0 };
}
