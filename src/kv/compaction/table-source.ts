import type { FileSystem } from '../../io/file-system.ts';
import type { IngestEntry } from './ingest-pieces.ts';

/**
 * Source of the entries of new tables, in the background: it reads them, the owner's thread doesn't. A thread's program
 * brings its own.
 */
export interface TableSource {
  /**
   * The entries that a job asks for, their keys strictly ascending. An entry's bytes need only stay until the next one is asked for; undefined
   * lets other work go first. `request`: the job's, plain data. Files are read by way of `fileSystem`.
   */
  entries(request: unknown, fileSystem: FileSystem): Iterable<IngestEntry | undefined>;
}
