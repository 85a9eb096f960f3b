/** The background's source of runs: it reads a stretch of the durable log by itself. A run made late, or by a rebuild, is made in the same way. */
import { CorruptionError } from '../base/errors.ts';
import type { FileSystem } from '../io/file-system.ts';
import type { TableSource } from '../kv/compaction/table-source.ts';
import { type LogRange, recordsOf } from '../log/log-range.ts';
import type { Counts } from './format.ts';
import { type Row, RunRows } from './run-rows.ts';
import { SecretHash, type TextHash } from './text-hash.ts';

/** What a run is made of, as plain data. */
export interface RunRequest {
  readonly range: LogRange;
  readonly secret: Uint8Array;
  /** Of all that is below the range. */
  readonly before: Counts;
}

export class RunSource implements TableSource {
  readonly #makeHash: (secret: Uint8Array) => TextHash;

  constructor(makeHash: (secret: Uint8Array) => TextHash = (secret) => new SecretHash(secret)) {
    this.#makeHash = makeHash;
  }

  *entries(request: unknown, fileSystem: FileSystem): Generator<Row | undefined, void, undefined> {
    const { range, secret, before } = request as RunRequest;
    const rows = new RunRows(range.from, before, this.#makeHash(secret));
    for (const record of recordsOf(fileSystem, range)) {
      const problem = record && rows.add(record);
      if (problem !== undefined) {
        const { file, fileOffset, position } = record!;
        throw new CorruptionError(file, fileOffset, problem, undefined, position);
      }
      if (record === undefined) {
        yield undefined;
      }
    }
    yield* rows.sorted();
  }
}
