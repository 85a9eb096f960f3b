import { checkSignal, rejectUnknownNames } from '../base/arguments.ts';
import { asVarveError, CorruptionError, VarveError } from '../base/errors.ts';
import { resolveComponents } from '../io/components.ts';
import { absolutePath, joinPath } from '../io/path.ts';
import { type AuditReport, auditLog } from '../log/audit.ts';
import type { VerifyOptions } from './contract.ts';
import { readIdentity } from './identity.ts';
import type { StoreComponents } from './options.ts';
import { inspectFolder, LOG_DIRECTORY_NAME } from './store-folder.ts';

const componentNames = new Set(['fileSystem', 'clock']);
const verifyOptionNames = new Set(['onProgress', 'signal']);

/**
 * Recomputes every checksum, hash and link of a store that is not open, damaged or not, and changes nothing in it. Where
 * `open` refuses at the first damage, this goes on and reports all it finds.
 *
 * Throws `LOCKED` if somebody has the store open (use `store.verify()` there), `NOT_A_STORE`, `UNSUPPORTED_FORMAT`, and
 * `CORRUPT` only if `store.json` is unusable, for without it nothing can be told.
 */
export async function audit(
  directory: string,
  options: VerifyOptions = {},
  components: Pick<StoreComponents, 'fileSystem' | 'clock'> = {},
): Promise<AuditReport> {
  rejectUnknownNames(options, verifyOptionNames, 'option');
  checkSignal(options.signal);
  if (typeof directory !== 'string' || directory === '') {
    throw new VarveError('INVALID_ARGUMENT', 'Give the folder of the store.');
  }
  const { fileSystem, clock } = await resolveComponents(components, componentNames);
  const path = absolutePath(directory);
  inspectFolder(fileSystem, path, false);
  const lock = await fileSystem.lockDirectory(path);
  try {
    const identity = readIdentity(fileSystem, path);
    if (identity === undefined) {
      throw new CorruptionError(joinPath(path, 'store.json'), undefined, 'the file is missing');
    }
    const log = joinPath(path, LOG_DIRECTORY_NAME);
    if (fileSystem.stat(log) === undefined) {
      throw new CorruptionError(log, undefined, 'the folder of the log is missing');
    }
    const parts = { fileSystem, clock, directory: log, identity: identity.bytes };
    return await auditLog(parts, { onProgress: options.onProgress, signal: options.signal });
  } catch (error) {
    throw asVarveError(error, `The store in ${path} can't be read`);
  } finally {
    await lock.release();
  }
}
