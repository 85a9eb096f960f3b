/**
 * Background maintenance: flush, compact, install, reclaim, in this order. Jobs are done by a background; this decides which, and installs
 * what they have made.
 *
 *   tables durable → manifest durable → readers see them → memtable, log and replaced tables are let go
 *
 * At every arrow the machine may stop: what is to the left of it holds everything.
 */
import { assert } from '../../base/assert.ts';
import { closedError, systemCode, VarveError } from '../../base/errors.ts';
import { reached } from '../../base/reached.ts';
import { type CompactionPlan, type Kept, pickCompaction } from '../compaction/compaction-picker.ts';
import { debtOf, type Pressure, pressureOf } from '../compaction/compaction-pressure.ts';
import type { IngestEntry } from '../compaction/ingest-pieces.ts';
import { combined, type JobResult, NOTHING_MADE } from '../compaction/job.ts';
import type { ManifestState } from '../manifest/format.ts';
import { ManualCompactions } from './manual-compactions.ts';
import { isUnchanged, type ManifestChange, ManifestKeeper } from './manifest-keeper.ts';
import { arrived, compacted, levelForNew } from './levels-change.ts';
import { FileRemover } from './file-remover.ts';
import { notApplied } from '../compaction/ingest-failure.ts';
import {
  type MaintenanceParts,
  type MaintenanceSettings,
  noWork,
  type RangeEnd,
} from './maintenance-parts.ts';
import type { WorkCounts } from './tree-reports.ts';
import type { Memtable } from '../memtable/memtable.ts';
import { tablePath } from '../sstable/names.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { WaiterList } from '../../collections/waiter-list.ts';
import { WorkLoop } from './work-loop.ts';

export class Maintenance {
  readonly counts: WorkCounts = noWork();
  pressure: Pressure;
  /** Set while many tables are added one after the other: to merge all of them at the end costs less. `schedule` comes after it. */
  holdsMerges = false;
  readonly #parts: MaintenanceParts;
  readonly #settings: MaintenanceSettings;
  readonly #manifest: ManifestKeeper;
  readonly #flushing: WorkLoop;
  readonly #compacting: WorkLoop;
  readonly #remover: FileRemover;
  /** Nothing is done before: what its owner's log holds comes back first. A tree that is only read is never started. */
  #isStarted = false;
  #isClosing = false;
  /** Tables of frozen memtables, made and not yet in the manifest. */
  readonly #made = new Map<Memtable, JobResult>();
  readonly #manual: ManualCompactions;
  /** Tables that can't be read: nobody tries to merge them again. */
  readonly #damaged = new Set<number>();
  /** The tables being merged. */
  #running: CompactionPlan | undefined;
  /** The last damage that was met. */
  #damage: VarveError | undefined;
  /** Why the log has ended, if it has; or, of a store without one, why writing has. */
  #logFailure: VarveError | undefined;
  /** Ingested tables that are about to be added. */
  #placingCount = 0;
  /** Merges by hand that look for what they are to merge. */
  #lookingCount = 0;
  /** For nothing to be left to do. */
  readonly #idleWaiters = new WaiterList();
  /** For a flushed sequence. */
  readonly #flushWaiters = new WaiterList();

  constructor(parts: MaintenanceParts, settings: MaintenanceSettings, state: ManifestState) {
    this.#parts = parts;
    this.#settings = settings;
    this.#manual = new ManualCompactions(settings.compaction);
    this.#manifest = new ManifestKeeper(parts.background, parts.numbers, state, (tables) =>
      this.discard(tables),
    );
    this.pressure = pressureOf(state.levels, settings.compaction);
    const ended = (): void => this.#rest();
    this.#remover = new FileRemover(parts.background, parts.logger, ended);
    this.#flushing = new WorkLoop(parts.clock, () => this.#flushAll(), {
      failed: (error) => this.#flushFailed(error),
      ended,
    });
    this.#compacting = new WorkLoop(parts.clock, () => this.#compactAll(), {
      failed: (error) => this.#compactionFailed(error, 'retried'),
      ended,
    });
  }

  get state(): ManifestState {
    return this.#manifest.state;
  }

  /** The last failure, until that work has succeeded. */
  get error(): Error | undefined {
    return this.flushError ?? this.#compacting.error ?? this.#damage;
  }

  /** Why no memtable becomes a table, if that is so. */
  get flushError(): Error | undefined {
    return this.#logFailure ?? this.#flushing.error;
  }

  /** Why tables are not merged, if that is so. Damage is a reason only when there is nothing else to merge. */
  get compactionError(): Error | undefined {
    return this.#compacting.error ?? (this.#compacting.isRunning ? undefined : this.#damage);
  }

  get debt(): number {
    return debtOf(this.state.levels, this.#settings.compaction);
  }

  start(): void {
    this.#isStarted = true;
    this.schedule();
  }

  /** Begins what there is to do. */
  schedule(): void {
    if (!this.#isStarted) {
      return;
    }
    if (this.#parts.memtables.frozenCount > 0) {
      this.#flushing.start();
    }
    this.#compacting.start();
  }

  /** The log has ended: what waits for it never comes. */
  logFailed(error: VarveError): void {
    this.#logFailure = error;
    this.#flushFailed(error);
  }

  /** Resolves when everything that is in memory now is in tables. Rejects when an attempt fails. */
  async flush(): Promise<void> {
    assert(this.#isStarted, 'a tree that was not started is not flushed');
    const { memtables } = this.#parts;
    memtables.freeze();
    const sequence = memtables.active.maxSequence;
    if (memtables.frozenCount === 0 || this.state.flushedSequence >= sequence) {
      return;
    }
    this.#checkWorking();
    const flushed = this.#flushWaiters.wait(sequence);
    this.#flushing.startNow();
    await flushed;
  }

  /** Throws if nothing more is done: who waited would never be told. */
  #checkWorking(): void {
    const ended = this.#isClosing ? closedError() : this.#logFailure;
    if (ended !== undefined) {
      throw ended;
    }
  }

  /** Resolves when there is nothing to do. Rejects if what there is can't be done now. */
  async settled(): Promise<void> {
    assert(this.#isStarted, 'a tree that was not started does not settle');
    this.#checkWorking();
    const settled = this.#idleWaiters.wait(0);
    this.#flushing.startNow();
    this.#compacting.startNow();
    await settled;
  }

  /** Merges the tables of a range of keys, both ends included, level by level, once `before` has ended. */
  async compactRange(from: RangeEnd, to: RangeEnd, before: () => Promise<void>): Promise<void> {
    const { hidden, clock } = this.#parts;
    let merged: Promise<void>;
    assert(this.#isStarted, 'a tree that was not started is not merged');
    // Order: who waits until nothing is left to do must not be told so in between.
    this.#lookingCount += 1;
    try {
      await before();
      const tables = [...this.state.levels.inRange(from, to)];
      const unknown = tables.filter((table) => hidden.isUnknown(table));
      if (unknown.length > 0) {
        await hidden.lookAt(unknown, clock, () => this.#isClosing);
      }
      this.#checkWorking();
      merged = this.#manual.add(from, to);
      this.#compacting.startNow();
    } finally {
      this.#lookingCount -= 1;
      this.#rest();
    }
    await merged;
  }

  /** What it kept may go. */
  snapshotClosed(sequence: number): void {
    if (!this.#isClosing && this.#parts.hidden.isKeeper(sequence)) {
      this.schedule();
    }
  }

  /** Makes tables of sorted entries, which nobody sees yet. */
  async makeIngested(
    entries: Iterable<IngestEntry> | AsyncIterable<IngestEntry>,
  ): Promise<JobResult> {
    const { tables: settings } = this.#settings;
    assert(this.#isStarted, 'a tree that was not started takes no tables');
    return this.#parts.background.ingest({ kind: 'ingest', settings }, entries);
  }

  /** The same of what the background's source finds for a request. */
  makeBuilt(request: unknown): Promise<JobResult> {
    const { tables: settings } = this.#settings;
    return this.#parts.background.run({ kind: 'build', settings, request });
  }

  /**
   * Adds such tables, as written with `sequence`: every older write is in tables, and no newer one anywhere. `position`: of a store without
   * a log, what its owner's own log is covered up to then, also where that gave no tables; `mark` binds it to that very log (`TreeOwner.markAt`).
   * `installed` is called in the turn in which they show. Rejects with `applied: 'no'` if they surely never will, and removes them.
   */
  async addIngested(
    made: JobResult,
    sequence: number,
    position: number | undefined,
    installed: () => void,
    mark?: Uint8Array,
  ): Promise<void> {
    const tables = made.tables.map((table) => ({ ...table, ingestSequence: sequence }));
    // Order: nothing is planned between choosing a level and its being known, or a merge could span the same place.
    this.#placingCount += 1;
    const change = (state: ManifestState): ManifestState => {
      const running = this.#running?.inputs.flat() ?? [];
      const level = levelForNew(this.#settings.compaction, state.levels, tables, running);
      return arrived(state, tables, { level, sequence, position: position ?? 0, mark });
    };
    try {
      await this.#edit(made, change, installed, tables);
      this.#parts.hidden.made(tables, []);
      this.counts.ingests += 1;
    } catch (error) {
      throw isUnchanged(error) || (await this.#isUndone(tables)) ? notApplied(error) : error;
    } finally {
      this.#placingCount -= 1;
      this.schedule();
      this.#rest();
    }
  }

  /** Removes tables that are in no manifest, and that no read needs. */
  discard(tables: readonly TableMeta[]): void {
    this.remove(tables.map(({ number }) => tablePath(this.#parts.directory, number)));
  }

  /**
   * The manifest as it was is written once more, over one that may be there with tables that nobody is to see. False if that fails, too.
   */
  async #isUndone(tables: readonly TableMeta[]): Promise<boolean> {
    const numbers = new Set(tables.map(({ number }) => number));
    if ([...this.state.levels].some(({ number }) => numbers.has(number))) {
      return false;
    }
    try {
      await this.#edit(NOTHING_MADE, (state) => state);
      reached('took a failed ingest back');
      return true;
    } catch {
      // Its cause is that of the first failure.
      return false;
    }
  }

  /** Has files removed that nothing needs any more, in this order. `over` is told whether all are removed. */
  remove(paths: readonly string[], over?: (isDone: boolean) => void): void {
    if (this.#isStarted) {
      this.#remover.remove(paths, over);
    }
  }

  /** Before `close`: the same as `flush`, and work in the background that would hold it up is ended. */
  async flushRest(): Promise<void> {
    this.#parts.background.cancel();
    await this.flush();
  }

  /** Ends what can be ended early, and resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#flushing.stop();
    this.#compacting.stop();
    // Order: what has been made gets into the manifest before nothing can any more, or it would be left lying about.
    this.#parts.background.cancel();
    await Promise.all([this.#flushing.whenOver(), this.#compacting.whenOver()]);
    await this.#manifest.whenIdle();
    try {
      await this.#parts.background.close();
    } finally {
      const closed = closedError();
      this.#idleWaiters.rejectAll(closed);
      this.#flushWaiters.rejectAll(closed);
      this.#manual.rejectAll(closed);
    }
  }

  get #isIdle(): boolean {
    const isRunning = this.#flushing.isRunning || this.#compacting.isRunning;
    const isAsked = this.#placingCount + this.#lookingCount > 0;
    const isBusy = isRunning || isAsked || this.#remover.isBusy;
    return !isBusy && this.#parts.memtables.frozenCount === 0;
  }

  async #flushAll(): Promise<void> {
    while (!this.#isClosing && this.#logFailure === undefined) {
      const memtables = this.#parts.memtables.oldestGroup();
      const last = memtables.at(-1);
      // Order: nothing gets into a table that the log may still lose.
      if (last === undefined || !(await this.#parts.owner.whenLogged(last.maxSequence))) {
        break;
      }
      await this.#flush(memtables, last);
      this.#flushing.succeeded();
    }
  }

  /** All of them at once: a batch that spans them shows as a whole. */
  async #flush(memtables: readonly Memtable[], last: Memtable): Promise<void> {
    let made = NOTHING_MADE;
    for (const memtable of memtables) {
      made = combined(made, await this.#makeTables(memtable));
    }
    const { position, place } = last;
    const mark = this.#parts.owner.markAt?.(place);
    await this.#edit(
      made,
      (state) => ({
        ...arrived(state, made.tables, { level: 0, sequence: last.maxSequence, position, mark }),
        flushedSequence: last.maxSequence,
      }),
      () => this.#parts.memtables.dropOldest(memtables.length),
    );
    this.#made.clear();
    this.counts.flushes += 1;
    reached('flushed a memtable');
    const { flushedSequence } = this.state;
    this.#flushWaiters.advance(flushedSequence, undefined);
    this.#parts.owner.flushed(flushedSequence);
    this.schedule();
  }

  /** Tables that were made when only the manifest, or a later memtable, failed are not made again. */
  async #makeTables(memtable: Memtable): Promise<JobResult> {
    const { background, snapshots, hidden } = this.#parts;
    const sequences = snapshots.sequences();
    const made =
      this.#made.get(memtable) ??
      (await background.run({
        kind: 'flush',
        // One table: a read has to look at every table of level 0, and a merge takes them all anyway.
        settings: { ...this.#settings.tables, tableSizeMax: Number.MAX_SAFE_INTEGER },
        snapshots: sequences,
        memtable: memtable.freeze(),
        rangeTombstones: memtable.rangeTombstones.clip(undefined, undefined),
      }));
    if (!this.#made.has(memtable)) {
      hidden.made(made.tables, sequences);
    }
    this.#made.set(memtable, made);
    return made;
  }

  async #compactAll(): Promise<void> {
    for (let plan = this.#nextPlan(); plan !== undefined; plan = this.#nextPlan()) {
      await this.#compact(plan);
    }
    // What failed before isn't asked for any more, or has been done.
    if (this.#placingCount === 0) {
      this.#compacting.succeeded();
    }
  }

  #nextPlan(): CompactionPlan | undefined {
    if (this.#isClosing || this.#placingCount > 0 || this.holdsMerges) {
      return undefined;
    }
    const { levels, cursors } = this.state;
    const { snapshots, tables, hidden } = this.#parts;
    const damaged = this.#damaged;
    const settings = this.#settings.compaction;
    const kept: Kept = {
      oldestSnapshot: snapshots.sequences()[0] ?? Infinity,
      hiddenIn: (table) => hidden.countIn(table),
    };
    return (
      this.#manual.nextPlan(levels, damaged, kept, this.#damage) ??
      pickCompaction(levels, cursors, settings, damaged, kept, tables.isScanned)
    );
  }

  async #compact(plan: CompactionPlan): Promise<void> {
    const { background, snapshots, hidden } = this.#parts;
    const { inputs, outputLevel, deeper, grandparents } = plan;
    const places = { inputs, outputLevel, deeper, grandparents };
    const { tables: settings } = this.#settings;
    const sequences = snapshots.sequences();
    this.#running = plan;
    try {
      const made: JobResult = plan.isTrivialMove
        ? { ...NOTHING_MADE, tables: inputs.flat() }
        : await background.run({ kind: 'compact', settings, snapshots: sequences, ...places });
      const change: ManifestChange = (state) => compacted(state, plan, made.tables);
      await this.#edit(made, change, () => {}, plan.isTrivialMove ? [] : made.tables);
      this.#manual.made(plan, made.tables);
      if (plan.isTrivialMove) {
        this.counts.moves += 1;
      } else {
        hidden.made(made.tables, sequences);
        hidden.forget(inputs.flat());
        this.counts.compactions += 1;
      }
      this.#compacting.succeeded();
    } catch (error) {
      if (!(error instanceof VarveError) || error.code !== 'CORRUPT') {
        throw error;
      }
      this.#noteDamage(plan, error);
    } finally {
      this.#running = undefined;
    }
  }

  /** Tables with damage in them stay as they are, and so does what would have to be merged with them. */
  #noteDamage({ inputs }: CompactionPlan, error: VarveError): void {
    for (const { number } of inputs.flat()) {
      this.#damaged.add(number);
    }
    this.#damage = error;
    this.#compactionFailed(error, 'final');
    this.#parts.owner.damaged?.(error);
  }

  /** Changes what the store consists of; nothing of it shows before it is durable. `disposable`: tables that nobody wants if it fails. */
  async #edit(
    made: JobResult,
    change: ManifestChange,
    installed: () => void = () => {},
    disposable: readonly TableMeta[] = [],
  ): Promise<void> {
    const replaced = ({ levels }: ManifestState, size: number): void => {
      this.pressure = pressureOf(levels, this.#settings.compaction);
      // Order: the tables before the memtable is let go, in one turn: no read falls between.
      this.#parts.tables.install(levels, made.images);
      installed();
      this.counts.bytesRead += made.bytesRead;
      this.counts.bytesWritten += made.bytesWritten + size;
    };
    await this.#manifest.edit(change, replaced, disposable);
    this.#parts.owner.progress();
  }

  #flushFailed(error: VarveError): void {
    this.#flushWaiters.rejectAll(error);
    this.#failed(error, this.#logFailure === undefined ? 'retried' : 'final');
  }

  #compactionFailed(error: VarveError, fate: 'retried' | 'final'): void {
    if (fate === 'retried') {
      this.#manual.rejectAll(error);
    }
    this.#failed(error, fate);
  }

  /** Nothing was lost: what failed is done again after a while, unless that is pointless. */
  #failed(error: VarveError, fate: 'retried' | 'final'): void {
    const cause = error.cause ?? error;
    reached('work in the background failed');
    this.#parts.logger({
      level: 'warn',
      event: 'background-failed',
      message: 'Making or merging tables failed. Nothing is lost.',
      details: { cause, code: systemCode(cause), fate },
    });
    this.#idleWaiters.rejectAll(error);
    this.#parts.owner.progress();
  }

  /** A loop has ended. */
  #rest(): void {
    if (this.#isIdle) {
      const { error } = this;
      if (error === undefined) {
        this.#idleWaiters.advance(0, undefined);
      } else {
        this.#idleWaiters.rejectAll(error);
      }
    }
    if (this.#damage !== undefined) {
      // Who waits for tables to be merged may wait in vain.
      this.#parts.owner.progress();
    }
  }
}
