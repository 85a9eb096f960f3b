import type { IngestEntry } from '../compaction/ingest-pieces.ts';
import type { JobResult } from '../compaction/job.ts';
import { maybeApplied, notApplied } from '../compaction/ingest-failure.ts';
import type { KvWriter } from './kv-writer.ts';
import type { Maintenance } from '../tree/maintenance.ts';

/**
 * Brings tables made from sorted entries into the store, one call after the other, so that they count as written at one moment:
 *
 *   tables are made ─▶ what was written before is flushed ─▶ writes are held, one sequence is taken
 *     ─▶ the rest is flushed ─▶ the manifest has the tables ─▶ they show, writes go on
 *
 * Entries in memory are looked at first, so none may be older than the tables. While writes are held little is left to flush.
 */
export class Ingester {
  readonly #writer: KvWriter;
  readonly #maintenance: Maintenance;
  /** The last installation under way: the next one waits for it. */
  #installing: Promise<unknown> = Promise.resolve();

  constructor(writer: KvWriter, maintenance: Maintenance) {
    this.#writer = writer;
    this.#maintenance = maintenance;
  }

  /** Resolves to the sequence that the entries count as written with. */
  async ingest(
    entries: Iterable<IngestEntry> | AsyncIterable<IngestEntry>,
    position: number | undefined,
  ): Promise<number> {
    const made = await this.#maintenance.makeIngested(entries);
    const before = this.#installing;
    const installed = (async (): Promise<number> => {
      await before;
      try {
        const sequence = await this.#hold(made);
        // Order: readers are at the sequence in the turn in which the tables show. A snapshot made between would be older than tables
        // that a merge, begun before it, takes for what everybody sees.
        await this.#maintenance.addIngested(made, sequence, position, () => this.#writer.release());
        return sequence;
      } catch (error) {
        throw maybeApplied(error);
      } finally {
        this.#writer.release();
      }
    })();
    this.#installing = installed.catch(() => {});
    return installed;
  }

  /** Resolves to a sequence, when everything older is in tables and writes are held. */
  async #hold(made: JobResult): Promise<number> {
    try {
      await this.#maintenance.flush();
      const sequence = await this.#writer.hold();
      await this.#maintenance.flush();
      return sequence;
    } catch (error) {
      // No manifest was asked to name them.
      this.#maintenance.discard(made.tables);
      throw notApplied(error);
    }
  }
}
