import {
  checkPath,
  checkBoolean,
  checkCallback,
  checkSignal,
  rejectUnknownNames,
} from '../base/arguments.ts';
import { asVarveError } from '../base/errors.ts';
import { resolveComponents } from '../io/components.ts';
import { readingFolder } from '../io/held-folder.ts';
import { absolutePath, joinPath } from '../io/path.ts';
import { checkUnlocked } from '../io/unlocked.ts';
import type { AuditOptions } from '../log/audit.ts';
import { CodecRegistry } from '../log/codecs.ts';
import type { StoreReport, VerifyOptions } from './contract.ts';
import type { StoreComponents } from './options.ts';
import { existingIdentity, inspectFolder, LOG_DIRECTORY_NAME } from './store-folder.ts';
import { verifyClosedStore } from './verify-store.ts';

const componentNames = new Set(['fileSystem', 'clock', 'codecs']);
const verifyOptionNames = new Set(['payloads', 'onProgress', 'signal']);

/** Throws `INVALID_ARGUMENT`. */
export function checkVerifyOptions(
  options: VerifyOptions,
): Pick<AuditOptions, 'payloads' | 'onProgress' | 'signal'> {
  rejectUnknownNames(options, verifyOptionNames, 'option');
  checkBoolean('payloads', options.payloads);
  checkCallback('onProgress', options.onProgress);
  checkSignal(options.signal);
  const { payloads, onProgress, signal } = options;
  return { payloads, onProgress, signal };
}

/**
 * Recomputes every checksum, hash and link of a store that is not open, damaged or not, and changes nothing in it. Where
 * `open` refuses at the first damage, this goes on and reports all it finds. What it calls whole can be read, but for payloads
 * that can't be decompressed or parsed: the option `payloads` looks for those, too. What was derived from the log is compared with it, in
 * `derived` of the report.
 *
 * Throws `LOCKED` if somebody has the store open (use `store.verify()` there), `NOT_A_STORE`, `UNSUPPORTED_FORMAT`, and
 * `CORRUPT` only if `store.json` is unusable, for without it nothing can be told.
 */
export async function audit(
  directory: string,
  options: VerifyOptions = {},
  components: Pick<StoreComponents, 'fileSystem' | 'clock' | 'codecs'> = {},
): Promise<StoreReport> {
  const checked = checkVerifyOptions(options);
  checkPath(directory, 'Give the folder of the store.');
  const { fileSystem, clock, random } = await resolveComponents(components, componentNames);
  const codecs = new CodecRegistry(components.codecs);
  const path = absolutePath(directory);
  try {
    inspectFolder(fileSystem, path, false);
    return await readingFolder(fileSystem, path, async (folder) => {
      const { bytes: identity } = existingIdentity(folder.fileSystem, path);
      const log = { fileSystem: folder.fileSystem, directory: joinPath(path, LOG_DIRECTORY_NAME) };
      const parts = { ...log, clock, random, identity, codecs };
      const report = await verifyClosedStore(parts, checked, path);
      if (!report.ok || report.derived?.ok === false) {
        // What an owner does who has come meanwhile may look like damage.
        await checkUnlocked(fileSystem, path);
      }
      await folder.release();
      return report;
    });
  } catch (error) {
    throw asVarveError(error, `The store in ${path} can't be read`);
  }
}
