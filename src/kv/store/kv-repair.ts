/**
 * Makes a manifest from the tables alone, for a store whose manifest is missing or damaged. Nothing is deleted: what can't be used is
 * moved to the quarantine, and what isn't needed is left to the next open, which removes what proves to be ours.
 */
import { checkPath, rejectUnknownNames } from '../../base/arguments.ts';
import { asVarveError, CorruptionError, VarveError } from '../../base/errors.ts';
import { readSmallFile, replaceFile } from '../../io/atomic-file.ts';
import { resolveComponents } from '../../io/components.ts';
import type { FileSystem } from '../../io/file-system.ts';
import { holdFolder, readingFolder } from '../../io/held-folder.ts';
import { absolutePath, joinPath } from '../../io/path.ts';
import { readInto } from '../../io/read-into.ts';
import { decodeSegmentHeader, SEGMENT_HEADER_SIZE, segmentName } from '../../journal/format.ts';
import { isRefusal as isHeaderRefusal } from '../../base/refusal.ts';
import { listSegments } from '../../journal/recovery.ts';
import { ContentOrder } from '../manifest/content-order.ts';
import { inspectKvNames, listTables, LOG_NAME, QUARANTINE_NAME } from '../manifest/folder.ts';
import { foreignFile } from '../../io/own-names.ts';
import { emptyManifest, encodeManifest, MANIFEST_SIZE_MAX } from '../manifest/format.ts';
import { Levels, tablesOverlap } from '../manifest/levels.ts';
import { type TableWithOrigin, traceLineage } from '../manifest/lineage.ts';
import { readManifest } from '../manifest/manifest-store.ts';
import { isSame, readHeader, setAsideTable } from '../manifest/orphans.ts';
import { placeTables } from '../manifest/placement.ts';
import { MANIFEST_NAME, tablePath, TABLES_NAME } from '../sstable/names.ts';
import { BlockCache } from '../sstable/block-cache.ts';
import { ReadCounters } from '../sstable/read-counters.ts';
import { readTableMeta } from '../sstable/table-file.ts';
import { TableReader } from '../sstable/table-reader.ts';
import type { TableMeta } from '../sstable/table-meta.ts';
import { sequenceAt } from './format.ts';
import type { KvComponents } from './options.ts';

export interface KvRepairOptions {
  /** Do it. Default false: only say what would be done. */
  readonly apply?: boolean;
  /** Move tables whose place can't be told to the quarantine, too, rather than refuse. What is only in them is lost. Default false. */
  readonly setAsideUndecided?: boolean;
  /** Make a new manifest although the one that is there can be read. Default false. */
  readonly evenIfIntact?: boolean;
}

export interface KvRepairReport {
  readonly outcome: 'intact' | 'repairable' | 'repaired' | 'refused';
  /** Tables of the new manifest, with their levels. */
  readonly kept: readonly { readonly number: number; readonly level: number }[];
  /** Tables whose entries are all in others, and outputs of interrupted work: the next open removes them. */
  readonly notNeeded: readonly number[];
  /** Tables that can't be read, and why: moved to the quarantine. Older versions of their keys may show again. */
  readonly damaged: readonly {
    readonly number: number;
    readonly file: string;
    readonly reason: string;
  }[];
  /** Tables whose place can't be told, and why. */
  readonly undecided: readonly { readonly number: number; readonly reason: string }[];
  /** Tables that were ingested: their entries count as the oldest writes now, whose version is 1. */
  readonly ingested: readonly number[];
  readonly lastSequence: number;
  /** The log is replayed above it. */
  readonly flushedSequence: number;
  /** No table has these writes and the log begins behind them: deletions that were merged away, or writes that are lost. After `from`, up to `to`. */
  readonly missing: { readonly from: number; readonly to: number } | undefined;
}

const componentNames: ReadonlySet<string> = new Set(['fileSystem']);
const optionNames: ReadonlySet<string> = new Set(['apply', 'setAsideUndecided', 'evenIfIntact']);

/** What a repair found, and did if it was told to. */
export interface KvFolderRepairReport extends KvRepairReport {
  /** Whether the folder has a log. A repaired store is one with a log if so. */
  readonly hasLog: boolean;
}

/**
 * Makes the manifest of a store that can't be opened anew, from its tables; without `apply` it only says what it would do. Deletes
 * nothing: what can't be used is moved to the folder's `quarantine`. The store must not be open.
 *
 * Throws `LOCKED`, `NOT_A_STORE`, `FOREIGN_FILE`, `UNSUPPORTED_FORMAT`, `CORRUPT`, `INVALID_ARGUMENT`, `UNAVAILABLE`.
 */
export async function repairKv(
  directory: string,
  options: KvRepairOptions = {},
  components: Pick<KvComponents, 'fileSystem'> = {},
): Promise<KvFolderRepairReport> {
  rejectUnknownNames(options, optionNames, 'option');
  checkPath(directory, 'Give the folder of the store.');
  const { fileSystem } = await resolveComponents(components, componentNames);
  const path = absolutePath(directory);
  try {
    // Order: looked at before the lock leaves a file in a folder that is not ours.
    inspectFolder(fileSystem, path);
    if (options.apply !== true) {
      return await readingFolder(fileSystem, path, async (folder) => {
        const report = repairHeld(folder.fileSystem, path, options);
        await folder.release();
        return report;
      });
    }
    const lock = await holdFolder(fileSystem, path);
    try {
      return repairHeld(lock.fileSystem, path, options);
    } finally {
      await lock.release();
    }
  } catch (error) {
    throw asVarveError(error, `The store in ${path} can't be repaired`);
  }
}

/**
 * The store must be locked by the caller, and not be open. Throws `FOREIGN_FILE` if there is something in the folder that isn't the store's,
 * `NOT_A_STORE` if there is no table and no log, `UNSUPPORTED_FORMAT` if a newer version wrote the manifest.
 */
export function repairHeld(
  fileSystem: FileSystem,
  directory: string,
  options: KvRepairOptions = {},
): KvFolderRepairReport {
  inspectKvNames(fileSystem, directory);
  if (options.evenIfIntact !== true && isIntact(fileSystem, directory)) {
    const hasLog = fileSystem.stat(joinPath(directory, LOG_NAME)) !== undefined;
    return { ...nothingFound, outcome: 'intact', hasLog };
  }
  const log = inspectLog(fileSystem, directory);
  const survey = surveyTables(fileSystem, directory, log?.identity);
  const hasLog = log !== undefined;
  const report = { ...planRepair({ fileSystem, directory, log, survey }, options), hasLog };
  if (options.apply !== true || report.outcome === 'refused') {
    return report;
  }
  apply({ fileSystem, directory, log, survey }, report);
  return { ...report, outcome: 'repaired' };
}

function inspectFolder(fileSystem: FileSystem, directory: string): void {
  if (fileSystem.stat(directory)?.kind === 'directory') {
    inspectKvNames(fileSystem, directory);
    const holdsAny = [MANIFEST_NAME, TABLES_NAME, LOG_NAME].some(
      (name) => fileSystem.stat(joinPath(directory, name)) !== undefined,
    );
    if (holdsAny) {
      return;
    }
  }
  throw new VarveError('NOT_A_STORE', `There is no store in ${directory}.`, {
    details: { directory },
  });
}

const nothingFound: Omit<KvRepairReport, 'outcome'> = {
  kept: [],
  notNeeded: [],
  damaged: [],
  undecided: [],
  ingested: [],
  lastSequence: 0,
  flushedSequence: 0,
  missing: undefined,
};

interface LogFacts {
  readonly identity: Uint8Array | undefined;
  /** The first write it holds is the one behind this sequence. */
  readonly start: number;
}

interface Survey {
  readonly identity: Uint8Array;
  readonly tables: readonly TableWithOrigin[];
  readonly damaged: KvRepairReport['damaged'];
  readonly present: ReadonlySet<number>;
}

interface Scene {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly log: LogFacts | undefined;
  readonly survey: Survey;
}

function isIntact(fileSystem: FileSystem, directory: string): boolean {
  try {
    const state = readManifest(fileSystem, directory);
    const sizes = listTables(fileSystem, directory);
    return (
      state !== 'missing' &&
      [...state.levels].every(({ number, size }) => sizes.get(number) === size)
    );
  } catch (error) {
    if (error instanceof CorruptionError) {
      return false;
    }
    throw error;
  }
}

/** Undefined if the store has no log. */
function inspectLog(fileSystem: FileSystem, directory: string): LogFacts | undefined {
  const logDirectory = joinPath(directory, LOG_NAME);
  if (fileSystem.stat(logDirectory) === undefined) {
    return undefined;
  }
  const positions = listSegments(fileSystem, logDirectory);
  let identity: Uint8Array | undefined;
  for (const position of positions) {
    const file = fileSystem.open(joinPath(logDirectory, segmentName(position)), 'read');
    try {
      const bytes = new Uint8Array(SEGMENT_HEADER_SIZE);
      readInto(file, bytes, 0);
      const header = decodeSegmentHeader(bytes);
      identity ??= isHeaderRefusal(header) ? undefined : header.identity;
    } finally {
      file.close();
    }
  }
  return { identity, start: sequenceAt(positions[0] ?? 0) - 1 };
}

function surveyTables(
  fileSystem: FileSystem,
  directory: string,
  known: Uint8Array | undefined,
): Survey {
  const present = [...listTables(fileSystem, directory).keys()];
  const identity = known ?? anyIdentity(fileSystem, directory, present);
  if (identity === undefined) {
    throw new VarveError('NOT_A_STORE', `No table and no log in ${directory} says whose it is.`, {
      details: { directory },
    });
  }
  const tables: TableWithOrigin[] = [];
  const damaged: { number: number; file: string; reason: string }[] = [];
  for (const number of present) {
    try {
      tables.push(readWhole(fileSystem, directory, number, identity));
    } catch (error) {
      if (!(error instanceof CorruptionError)) {
        throw error;
      }
      damaged.push({ number, file: error.file, reason: error.reason });
    }
  }
  return { identity, tables, damaged, present: new Set(present) };
}

function anyIdentity(
  fileSystem: FileSystem,
  directory: string,
  numbers: readonly number[],
): Uint8Array | undefined {
  for (const number of numbers) {
    const header = readHeader(fileSystem, tablePath(directory, number));
    if (typeof header === 'object') {
      return header.identity;
    }
  }
  return undefined;
}

/** Reads a table to its end: what is only partly readable is no table. Throws `FOREIGN_FILE` if it is another store's. */
function readWhole(
  fileSystem: FileSystem,
  directory: string,
  number: number,
  identity: Uint8Array,
): TableWithOrigin {
  const path = tablePath(directory, number);
  const header = readHeader(fileSystem, path);
  if (typeof header === 'object' && !isSame(header.identity, identity)) {
    throw foreignFile(path);
  }
  const found = readTableMeta(fileSystem, path, identity);
  if (found.number !== number) {
    throw new CorruptionError(path, 0, 'the table has another number than its name');
  }
  const { level, inputs, outputIndex, isLastOutput, settings: _, ...meta } = found;
  const cache = new BlockCache(0);
  const reader = TableReader.open(fileSystem, path, meta, identity, cache, new ReadCounters());
  try {
    reader.verify();
  } finally {
    reader.close();
  }
  return { meta, madeFor: level, inputs, outputIndex, isLastOutput };
}

function planRepair(scene: Scene, options: KvRepairOptions): KvRepairReport {
  const { log, survey } = scene;
  const { tables, damaged, present } = survey;
  const lineage = traceLineage(
    tables,
    present,
    (sequence) => log !== undefined && log.start <= sequence,
  );
  const undecided = lineage.undecided.map((number) => ({
    number,
    reason: 'it can’t be told whether the work that made it was finished',
  }));
  const ingested = lineage.needed.filter(mayBeIngested);
  let rest = lineage.needed.filter((table) => {
    const reason = ingested.includes(table)
      ? ingestProblem(table, lineage.needed, lineage.partial)
      : undefined;
    if (reason !== undefined) {
      undecided.push({ number: table.meta.number, reason });
    }
    return reason === undefined;
  });
  let levels: readonly (readonly TableMeta[])[] | undefined;
  while (levels === undefined) {
    const order = ContentOrder.of(
      { ...scene, identity: survey.identity },
      rest.map(({ meta }) => meta),
    );
    const placement = placeTables(rest, (left, right) => order.evidenceOf(left, right));
    if ('levels' in placement) {
      ({ levels } = placement);
    } else {
      const pair = placement.undecided;
      const reason = `tables ${pair.join(' and ')} overlap, and neither is the newer one`;
      undecided.push(...pair.map((number) => ({ number, reason })));
      rest = rest.filter(({ meta }) => !pair.includes(meta.number));
    }
  }
  const isRefused = undecided.length > 0 && options.setAsideUndecided !== true;
  const inTables = rest.reduce((last, { meta }) => Math.max(last, meta.maxSequence), 0);
  const seen = tables.reduce((last, { meta }) => Math.max(last, meta.maxSequence), inTables);
  // Tables hold everything up to their greatest sequence, for flushes follow one another: the log is replayed above it. Replaying more would
  // do no harm to what is in the log, whose newest version is replayed as well, with the same sequence; but ingested entries are in no
  // log, and older writes would hide them. Below its first segment the log was given back: that much was in tables.
  const flushedSequence = Math.max(inTables, log?.start ?? 0);
  return {
    outcome: isRefused ? 'refused' : 'repairable',
    kept: levels.flatMap((ofLevel, level) => ofLevel.map(({ number }) => ({ number, level }))),
    notNeeded: [...lineage.replaced, ...lineage.unfinished],
    damaged,
    undecided,
    ingested: ingested.map(({ meta }) => meta.number),
    lastSequence: Math.max(seen, flushedSequence),
    flushedSequence,
    missing: flushedSequence > inTables ? { from: inTables, to: flushedSequence } : undefined,
  };
}

/**
 * An ingested table's sequence was in the manifest alone. In the file, its entries all have sequence 0, which no write has.
 */
function mayBeIngested({ meta, madeFor, inputs }: TableWithOrigin): boolean {
  return madeFor === 0 && inputs.length === 0 && meta.maxSequence === 0;
}

function ingestProblem(
  table: TableWithOrigin,
  tables: readonly TableWithOrigin[],
  partial: readonly number[],
): string | undefined {
  if (partial.includes(table.meta.number)) {
    return 'it was ingested together with others that are gone';
  }
  return tables.some((other) => other !== table && tablesOverlap(other.meta, table.meta))
    ? 'it was ingested, and only the lost manifest knew whether before or after what overlaps it'
    : undefined;
}

function apply({ fileSystem, directory, log, survey }: Scene, report: KvRepairReport): void {
  const metas = new Map(survey.tables.map(({ meta }) => [meta.number, meta]));
  const levels: TableMeta[][] = [];
  for (const { number, level } of report.kept) {
    (levels[level] ??= []).push(metas.get(number)!);
  }
  const state = emptyManifest({
    identity: survey.identity,
    hasLog: log !== undefined,
    nextTableNumber: nextNumber(survey.tables),
    lastSequence: report.lastSequence,
    flushedSequence: report.flushedSequence,
    levels: Levels.from(Array.from(levels, (tables) => tables ?? [])),
  });
  keepOldManifest(fileSystem, directory);
  const unusable = new Set([...report.damaged, ...report.undecided].map(({ number }) => number));
  for (const number of unusable) {
    setAsideTable(fileSystem, directory, number);
  }
  // Order: the manifest last. A repair that is interrupted before is done again.
  replaceFile(fileSystem, directory, MANIFEST_NAME, encodeManifest(state));
}

function nextNumber(tables: readonly TableWithOrigin[]): number {
  let next = 1;
  for (const { meta, inputs } of tables) {
    next = Math.max(next, meta.number + 1, ...inputs.map((number) => number + 1));
  }
  return next;
}

/** The damaged manifest goes to the quarantine as well: somebody may want to look at it. */
function keepOldManifest(fileSystem: FileSystem, directory: string): void {
  const bytes = readSmallFile(fileSystem, joinPath(directory, MANIFEST_NAME), MANIFEST_SIZE_MAX);
  if (bytes === undefined) {
    return;
  }
  const quarantine = joinPath(directory, QUARANTINE_NAME);
  if (fileSystem.makeDirectory(quarantine)) {
    fileSystem.syncDirectory(directory);
  }
  for (let attempt = 0; ; attempt += 1) {
    const name = `${attempt}-${MANIFEST_NAME}`;
    if (fileSystem.stat(joinPath(quarantine, name)) === undefined) {
      replaceFile(fileSystem, quarantine, name, bytes);
      return;
    }
  }
}
