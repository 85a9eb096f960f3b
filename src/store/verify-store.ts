/** What verifying a store means, open or not: the log by itself, and what was derived from it against the log. */
import { checkAborted } from '../base/aborted.ts';
import { asVarveError, CorruptionError, isSystemError, VarveError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { DerivedCheck } from '../derived/check-derived.ts';
import type { DerivedProblem, DerivedReport } from '../derived/derived-report.ts';
import type { IndexTree } from '../derived/index-tree.ts';
import { DERIVED_DIRECTORY_NAME, IndexFolder } from '../derived/open-index.ts';
import { indexSettings } from '../derived/settings.ts';
import type { FileSystem } from '../io/file-system.ts';
import { joinPath } from '../io/path.ts';
import { type AuditOptions, type AuditParts, auditLog } from '../log/audit.ts';
import type { StoreReport } from './contract.ts';
import { defaults } from './options.ts';
import { QUARANTINE_DIRECTORY_NAME } from './store-folder.ts';

export interface VerifyParts extends AuditParts {
  readonly random: Random;
}

/** Derived data to be checked. */
interface Checked {
  readonly index: IndexTree;
  readonly isCurrent: () => boolean;
}

/** `derived`: read first, as it is at the call; the log then, up to there at least. */
export async function verifyStore(
  parts: VerifyParts,
  options: AuditOptions,
  derived: Checked | undefined,
): Promise<StoreReport> {
  if (derived === undefined) {
    return { ...(await auditLog(parts, options)), derived: undefined };
  }
  const { index, isCurrent } = derived;
  const checkContinue = (): void => {
    options.checkContinue?.();
    checkAborted(options.signal);
  };
  const check = new DerivedCheck(index, parts.random, {
    clock: parts.clock,
    checkContinue,
    isCurrent,
  });
  try {
    await check.walkTables();
  } catch (error) {
    checkContinue();
    if (!(error instanceof VarveError && error.code === 'CLOSED')) {
      throw error;
    }
    return verifyLogAlone(parts, options, index.tree.folder.directory);
  }
  let end = 0;
  const report = await auditLog(parts, {
    ...options,
    onRecord: (record) => {
      end = record.position + 1;
      check.addRecord(record);
    },
  });
  const withDerived = { ...report, derived: check.report() };
  return report.ok && end < index.covered ? withLostEvents(withDerived, index, end) : withDerived;
}

/** Of a store whose derived data is being made again. */
export async function verifyLogAlone(
  parts: AuditParts,
  options: AuditOptions,
  file: string,
): Promise<StoreReport> {
  const report = await auditLog(parts, options);
  const what = 'it is being made again from the log';
  return { ...report, derived: unusable({ what, entries: 'unread', file }) };
}

/** A tree is written only from what is durable: the log has lost its end, at the border of a commit, and only the tree knows. */
function withLostEvents(report: StoreReport, index: IndexTree, end: number): StoreReport {
  const finding = {
    severity: 'damage',
    file: index.tree.folder.directory,
    position: end,
    reason: `derived data was made from events up to position ${index.covered - 1}, and the log ends before position ${end}: they are lost`,
  } as const;
  const findings = [...report.findings, finding];
  return { ...report, ok: false, findings, findingCount: report.findingCount + 1 };
}

/** Does the same in a store that nobody has open. */
export async function verifyClosedStore(
  parts: VerifyParts,
  options: AuditOptions,
  directory: string,
): Promise<StoreReport> {
  let problem: DerivedProblem | undefined;
  const derived = joinPath(directory, DERIVED_DIRECTORY_NAME);
  const unused = (cause: unknown): void => {
    problem = problemOf(cause, derived);
  };
  const index = isEmpty(parts.fileSystem, derived)
    ? undefined
    : await openClosedIndex(parts, directory, unused);
  if (index === undefined) {
    const report = await auditLog(parts, options);
    return { ...report, derived: problem && unusable(problem) };
  }
  try {
    return await verifyStore(parts, options, { index, isCurrent: () => true });
  } finally {
    await index.tree.close();
  }
}

async function openClosedIndex(
  parts: VerifyParts,
  directory: string,
  unused: (cause: unknown) => void,
): Promise<IndexTree | undefined> {
  try {
    return await closedIndexFolder(parts, directory, true, unused).openExisting();
  } catch (error) {
    if (!isSystemError(error)) {
      throw error;
    }
    unused(error);
    return undefined;
  }
}

/** Derived data in the folder of a store that is not open. `unused` hears why it can't be used. */
export function closedIndexFolder(
  parts: Pick<VerifyParts, 'fileSystem' | 'clock' | 'random' | 'identity'>,
  directory: string,
  readOnly: boolean,
  unused: (cause: unknown) => void,
): IndexFolder {
  return new IndexFolder(
    {
      ...parts,
      held: undefined,
      threads: { usesThreads: false, goInline: undefined, workers: {}, namedFileSystem: undefined },
      logger: ({ details }) => unused(details?.['cause']),
      directory,
      quarantineDirectory: joinPath(directory, QUARANTINE_DIRECTORY_NAME),
      storeIdentity: parts.identity,
    },
    indexSettings(defaults.indexMemoryBytes, readOnly),
    { lost: () => {}, damaged: () => {} },
  );
}

/** An open that was interrupted leaves folders without a file. */
function isEmpty(fileSystem: FileSystem, directory: string): boolean {
  return (
    fileSystem.stat(directory)?.kind === 'directory' &&
    fileSystem
      .list(directory)
      .every(
        ({ name, kind }) =>
          kind === 'directory' && fileSystem.list(joinPath(directory, name)).length === 0,
      )
  );
}

function problemOf(cause: unknown, directory: string): DerivedProblem {
  if (cause instanceof CorruptionError) {
    const { reason, file, offset } = cause;
    return { what: reason, entries: 'tables', file, ...(offset === undefined ? {} : { offset }) };
  }
  const what =
    typeof cause === 'string' ? cause : asVarveError(cause, 'it can not be read').message;
  return { what, entries: isSystemError(cause) ? 'unread' : 'tables', file: directory };
}

function unusable(problem: DerivedProblem): DerivedReport {
  return { ok: false, covered: 0, entries: 0, problems: [problem], problemCount: 1 };
}
