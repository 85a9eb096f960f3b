/** A store made from its backup: verified first, then copied. */
import {
  checkBoolean,
  checkCallback,
  checkPath,
  checkSignal,
  rejectUnknownNames,
} from '../base/arguments.ts';
import { checkAborted } from '../base/aborted.ts';
import { asVarveError, CorruptionError, VarveError } from '../base/errors.ts';
import { copyClosedIndex } from '../derived/copy-index.ts';
import { DERIVED_DIRECTORY_NAME } from '../derived/open-index.ts';
import { readSmallFile, replaceFile } from '../io/atomic-file.ts';
import { checkBackupTarget, checkOutside, copyFile } from '../io/backup-target.ts';
import { resolveComponents } from '../io/components.ts';
import type { FileSystem } from '../io/file-system.ts';
import { makeFolders } from '../io/folders.ts';
import { readingFolder } from '../io/held-folder.ts';
import { absolutePath, joinPath } from '../io/path.ts';
import { checkUnlocked } from '../io/unlocked.ts';
import { segmentName, TAIL_SIZE } from '../journal/format.ts';
import { TAIL_NAME } from '../journal/names.ts';
import { listSegments } from '../journal/recovery.ts';
import { CodecRegistry } from '../log/codecs.ts';
import type { StoreReport } from './contract.ts';
import { IDENTITY_NAME, IDENTITY_SIZE_MAX } from './identity.ts';
import type { StoreComponents } from './options.ts';
import { existingIdentity, inspectFolder, LOG_DIRECTORY_NAME } from './store-folder.ts';
import { verifyClosedStore } from './verify-store.ts';

export interface RestoreOptions {
  /** Whether derived data is copied, too, if the backup has it and it is whole. Default true; else the first open makes it. */
  readonly derived?: boolean;
  /** Also decompresses and parses all data and metadata of the backup. Default false. */
  readonly payloads?: boolean;
  /** Called now and then with bytes done and bytes in all, of verifying and then of copying. */
  readonly onProgress?: (progress: RestoreProgress) => void;
  readonly signal?: AbortSignal;
}

export interface RestoreProgress {
  readonly phase: 'verify' | 'copy';
  readonly bytes: number;
  readonly bytesTotal: number;
}

/** What was restored. */
export interface RestoreResult {
  /** Identity of the store: the backup's. */
  readonly id: string;
  readonly events: number;
  readonly segments: number;
  /** Positions below it are covered by derived data; undefined if none was restored. */
  readonly derived: number | undefined;
  readonly bytes: number;
  /** What verifying the backup has found. */
  readonly report: StoreReport;
}

const optionNames = new Set(['derived', 'payloads', 'onProgress', 'signal']);
const componentNames = new Set(['fileSystem', 'clock', 'codecs']);

/**
 * Verifies a backup and copies it to a new or an empty folder, byte by byte and durably. The folder is a store once everything is there: one that an
 * interrupted call has left is none, and can be removed. The backup is not changed.
 *
 * Throws `CORRUPT` for a backup that is damaged, having made nothing; `LOCKED` while somebody has it open; `INVALID_ARGUMENT` for a folder that holds
 * anything; `ABORTED`, `NOT_A_STORE`, `UNSUPPORTED_FORMAT`, `UNAVAILABLE`.
 */
export async function restore(
  backup: string,
  directory: string,
  options: RestoreOptions = {},
  components: Pick<StoreComponents, 'fileSystem' | 'clock' | 'codecs'> = {},
): Promise<RestoreResult> {
  rejectUnknownNames(options, optionNames, 'option');
  checkBoolean('derived', options.derived);
  checkBoolean('payloads', options.payloads);
  checkCallback('onProgress', options.onProgress);
  checkSignal(options.signal);
  checkPath(backup, 'Give the folder of the backup.');
  checkPath(directory, 'Give the folder to restore to.');
  const { fileSystem, clock, random } = await resolveComponents(components, componentNames);
  const codecs = new CodecRegistry(components.codecs);
  const source = absolutePath(backup);
  const target = absolutePath(directory);
  try {
    inspectFolder(fileSystem, source, false);
    checkBackupTarget(fileSystem, source, target);
    checkParentOutside(fileSystem, source, target);
    return await readingFolder(fileSystem, source, async (folder) => {
      const identity = existingIdentity(folder.fileSystem, source);
      const log = joinPath(source, LOG_DIRECTORY_NAME);
      const verifying = { fileSystem: folder.fileSystem, clock, random, codecs };
      const report = await verifyClosedStore(
        { ...verifying, directory: log, identity: identity.bytes },
        {
          payloads: options.payloads,
          signal: options.signal,
          onProgress: (progress) => options.onProgress?.({ phase: 'verify', ...progress }),
        },
        source,
      );
      if (!report.ok) {
        throw damageOf(report, source);
      }
      const takesDerived = options.derived !== false && report.derived?.ok === true;
      const copying = { fileSystem: folder.fileSystem, clock, source, target, options };
      const { bytes, segments } = await copyStore(copying, takesDerived);
      // Order: an owner who has come meanwhile may have changed what was copied; until the identity is there, nothing is restored.
      await checkUnlocked(fileSystem, source);
      publish(folder.fileSystem, source, target);
      await folder.release();
      const { id } = identity;
      const derived = takesDerived ? report.derived.covered : undefined;
      return { id, events: report.events, segments, derived, bytes, report };
    });
  } catch (error) {
    throw asVarveError(error, `The backup in ${source} can't be restored`);
  }
}

/** The backup may not lie in the folder that is made, either. */
function checkParentOutside(fileSystem: FileSystem, source: string, target: string): void {
  if (fileSystem.stat(target) !== undefined) {
    checkOutside(fileSystem, target, source);
  }
}

function damageOf({ findings }: StoreReport, source: string): CorruptionError {
  const found = findings.find(({ severity }) => severity === 'damage');
  const { file = source, offset, reason = 'it is damaged', position } = found ?? {};
  return new CorruptionError(file, offset, `${reason}; nothing was restored`, undefined, position);
}

interface Copying {
  readonly fileSystem: FileSystem;
  readonly clock: { pause(): Promise<void> };
  readonly source: string;
  readonly target: string;
  readonly options: RestoreOptions;
}

async function copyStore(
  { fileSystem, clock, source, target, options }: Copying,
  takesDerived: boolean,
): Promise<{ readonly bytes: number; readonly segments: number }> {
  const { signal, onProgress } = options;
  const from = joinPath(source, LOG_DIRECTORY_NAME);
  const to = joinPath(target, LOG_DIRECTORY_NAME);
  const between = async (): Promise<void> => {
    await clock.pause();
    checkAborted(signal);
  };
  const segments = listSegments(fileSystem, from).map((position) => segmentName(position));
  const sizes = segments.map((name) => fileSystem.stat(joinPath(from, name))?.size ?? 0);
  const bytesTotal = sizes.reduce((sum, size) => sum + size, 0);
  checkAborted(signal);
  makeFolders(fileSystem, to);
  let bytes = 0;
  for (const [index, name] of segments.entries()) {
    await copyFile(fileSystem, joinPath(from, name), joinPath(to, name), sizes[index], between);
    bytes += sizes[index]!;
    onProgress?.({ phase: 'copy', bytes, bytesTotal });
  }
  const tail = readSmallFile(fileSystem, joinPath(from, TAIL_NAME), TAIL_SIZE + 1);
  if (tail !== undefined) {
    replaceFile(fileSystem, to, TAIL_NAME, tail);
  }
  fileSystem.syncDirectory(to);
  if (takesDerived) {
    const [one, other] = [source, target].map((folder) => joinPath(folder, DERIVED_DIRECTORY_NAME));
    bytes += await copyClosedIndex(fileSystem, one!, other!, between);
  }
  return { bytes, segments: segments.length };
}

/** Order: everything else is durable before the file that makes the folder a store. */
function publish(fileSystem: FileSystem, source: string, target: string): void {
  const path = joinPath(source, IDENTITY_NAME);
  const identity = readSmallFile(fileSystem, path, IDENTITY_SIZE_MAX);
  if (identity === undefined) {
    throw new VarveError('UNAVAILABLE', `${path} is gone: the backup was changed meanwhile.`);
  }
  fileSystem.syncDirectory(target);
  replaceFile(fileSystem, target, IDENTITY_NAME, identity);
}
