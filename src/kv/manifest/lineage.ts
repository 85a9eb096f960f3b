/**
 * Which tables count when the manifest is gone. Work leaves its inputs behind for a while when it has ended, and its outputs when it is
 * interrupted; every table names the tables it was made from, its place among the outputs, and whether it is the last of them.
 *
 *   outputs complete                        the work was finished, or could be: its inputs are not needed
 *   outputs incomplete, an input is gone    the work was finished long ago and some outputs were merged on: as above
 *   outputs incomplete, all inputs there    the work was interrupted: its outputs are not needed
 *
 * A flush has no inputs but the log. Flushes follow one another, so only the newest can be incomplete, and then the log has all of it.
 */
import type { TableMeta } from '../sstable/table-meta.ts';
import { newestSequence, oldestSequence } from './levels.ts';

export interface TableWithOrigin {
  readonly meta: TableMeta;
  /** Level that it was made for. */
  readonly madeFor: number;
  readonly inputs: readonly number[];
  readonly outputIndex: number;
  readonly isLastOutput: boolean;
}

export interface Lineage {
  readonly needed: readonly TableWithOrigin[];
  /** Numbers of tables whose entries are all in others. */
  readonly replaced: readonly number[];
  /** Numbers of outputs of interrupted work. */
  readonly unfinished: readonly number[];
  /** Numbers of tables of which it can't be said. */
  readonly undecided: readonly number[];
  /** Numbers of tables without inputs that were not the only ones of their work, and not all of them are there. */
  readonly partial: readonly number[];
}

/** Tables of one piece of work. */
type Work = TableWithOrigin[];

/**
 * `presentNumbers`: of all files, those that can't be read included. `logReaches`: whether the log holds everything above a sequence.
 */
export function traceLineage(
  tables: readonly TableWithOrigin[],
  presentNumbers: ReadonlySet<number>,
  logReaches: (sequence: number) => boolean,
): Lineage {
  const replaced = new Set<number>();
  const unfinished = new Set<number>();
  const undecided = new Set<number>();
  const works = gatherWorks(tables);
  for (const work of works.filter(([first]) => first!.inputs.length > 0)) {
    const { inputs } = work[0]!;
    const areInputsThere = inputs.every((number) => presentNumbers.has(number));
    if (isDoneAgain(work, works)) {
      work.forEach(({ meta }) => unfinished.add(meta.number));
    } else if (isComplete(work) || !areInputsThere || isUsed(work, tables)) {
      inputs.forEach((number) => replaced.add(number));
    } else if (mayBeUsed(work, tables, presentNumbers)) {
      work.forEach(({ meta }) => undecided.add(meta.number));
    } else {
      work.forEach(({ meta }) => unfinished.add(meta.number));
    }
  }
  const flush = unfinishedFlush(works, tables);
  const others = tables.filter((table) => flush?.includes(table) !== true);
  const flushedWithout = Math.max(0, ...others.map(({ meta }) => newestSequence(meta)));
  if (flush !== undefined && logReaches(flushedWithout)) {
    flush.forEach(({ meta }) => unfinished.add(meta.number));
  }
  return {
    needed: tables.filter(
      ({ meta: { number } }) =>
        !replaced.has(number) && !unfinished.has(number) && !undecided.has(number),
    ),
    replaced: [...replaced].filter((number) => presentNumbers.has(number)),
    unfinished: [...unfinished],
    undecided: [...undecided],
    partial: works
      .filter((work) => work[0]!.inputs.length === 0 && !isComplete(work))
      .flatMap((work) => work.map(({ meta }) => meta.number)),
  };
}

/** Work with the same inputs that was done again, after it failed, is another work: its places begin anew. */
function gatherWorks(tables: readonly TableWithOrigin[]): readonly Work[] {
  const works: Work[] = [];
  const latest = new Map<string, Work>();
  for (const table of tables.toSorted((left, right) => left.meta.number - right.meta.number)) {
    // Flushes have no inputs to tell them apart; they follow one another, so their places do.
    const key = `${table.madeFor} ${table.inputs.join(' ')}`;
    const work = latest.get(key);
    if (
      work === undefined ||
      table.outputIndex <= work.at(-1)!.outputIndex ||
      work.at(-1)!.isLastOutput
    ) {
      const begun = [table];
      works.push(begun);
      latest.set(key, begun);
    } else {
      work.push(table);
    }
  }
  return works;
}

/** True if the same inputs were merged once more: the first attempt has failed. */
function isDoneAgain(work: Work, works: readonly Work[]): boolean {
  const inputs = work[0]!.inputs.join();
  return works.some(
    (later) => works.indexOf(later) > works.indexOf(work) && later[0]!.inputs.join() === inputs,
  );
}

function isComplete(work: Work): boolean {
  return work.at(-1)!.isLastOutput && work.every((table, index) => table.outputIndex === index);
}

/** True if another table was made from one of these: then they were in the manifest. */
function isUsed(work: Work, tables: readonly TableWithOrigin[]): boolean {
  return tables.some(({ inputs }) => work.some(({ meta }) => inputs.includes(meta.number)));
}

/** True if another table was made from one that is gone and may have been an output of this work. */
function mayBeUsed(
  work: Work,
  tables: readonly TableWithOrigin[],
  presentNumbers: ReadonlySet<number>,
): boolean {
  const newestInput = Math.max(...work[0]!.inputs);
  return tables.some(
    (table) =>
      !work.includes(table) &&
      table.inputs.some((number) => number > newestInput && !presentNumbers.has(number)),
  );
}

function unfinishedFlush(
  works: readonly Work[],
  tables: readonly TableWithOrigin[],
): Work | undefined {
  return works.find((work) => {
    const oldest = Math.min(...work.map(({ meta }) => oldestSequence(meta)));
    const isNewest = tables.every(
      (table) => work.includes(table) || newestSequence(table.meta) < oldest,
    );
    return work[0]!.inputs.length === 0 && isNewest && !isComplete(work);
  });
}
