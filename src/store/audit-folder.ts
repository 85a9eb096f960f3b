import { checkBoolean, checkSignal, rejectUnknownNames } from '../base/arguments.ts';
import { asVarveError, CorruptionError, VarveError } from '../base/errors.ts';
import { resolveComponents } from '../io/components.ts';
import { absolutePath, joinPath } from '../io/path.ts';
import { type AuditOptions, type AuditReport, auditLog } from '../log/audit.ts';
import { CodecRegistry } from '../log/codecs.ts';
import type { VerifyOptions } from './contract.ts';
import { readIdentity } from './identity.ts';
import type { StoreComponents } from './options.ts';
import { inspectFolder, LOG_DIRECTORY_NAME } from './store-folder.ts';

const componentNames = new Set(['fileSystem', 'clock', 'codecs']);
const verifyOptionNames = new Set(['payloads', 'onProgress', 'signal']);

/** Throws `INVALID_ARGUMENT`. */
export function checkVerifyOptions(
  options: VerifyOptions,
): Pick<AuditOptions, 'payloads' | 'onProgress' | 'signal'> {
  rejectUnknownNames(options, verifyOptionNames, 'option');
  checkBoolean('payloads', options.payloads);
  checkSignal(options.signal);
  const { payloads, onProgress, signal } = options;
  return { payloads, onProgress, signal };
}

/**
 * Recomputes every checksum, hash and link of a store that is not open, damaged or not, and changes nothing in it. Where
 * `open` refuses at the first damage, this goes on and reports all it finds. What it calls whole can be read, but for payloads
 * that can't be decompressed or parsed: the option `payloads` looks for those, too.
 *
 * Throws `LOCKED` if somebody has the store open (use `store.verify()` there), `NOT_A_STORE`, `UNSUPPORTED_FORMAT`, and
 * `CORRUPT` only if `store.json` is unusable, for without it nothing can be told.
 */
export async function audit(
  directory: string,
  options: VerifyOptions = {},
  components: Pick<StoreComponents, 'fileSystem' | 'clock' | 'codecs'> = {},
): Promise<AuditReport> {
  const checked = checkVerifyOptions(options);
  if (typeof directory !== 'string' || directory === '') {
    throw new VarveError('INVALID_ARGUMENT', 'Give the folder of the store.');
  }
  const { fileSystem, clock } = await resolveComponents(components, componentNames);
  const codecs = new CodecRegistry(components.codecs);
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
    const parts = { fileSystem, clock, codecs, directory: log, identity: identity.bytes };
    return await auditLog(parts, checked);
  } catch (error) {
    throw asVarveError(error, `The store in ${path} can't be read`);
  } finally {
    await lock.release();
  }
}
