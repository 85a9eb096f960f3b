import { CorruptionError, type KvStore, openKv, repairKv, VarveError } from '../kv.ts';
import { CommandError, ExitCode } from './exit-code.ts';
import { storeComponents } from './store-notes.ts';
import type { Terminal } from './terminal.ts';

/** To read it, nothing in the store's folder is changed. */
export type Purpose = 'to read' | 'to write';

/** Opens a key-value store that must be there, for as long as `work` takes. */
export async function withKv<Result>(
  directory: string,
  terminal: Terminal,
  purpose: Purpose,
  work: (kv: KvStore) => Promise<Result>,
): Promise<Result> {
  try {
    const kv = await openExistingKv(directory, terminal, purpose);
    try {
      return await work(kv);
    } finally {
      await kv.close();
    }
  } catch (error) {
    throw withAdvice(error, directory);
  }
}

/** With a log or without one, as the store was made. */
export async function openExistingKv(
  directory: string,
  terminal: Terminal,
  purpose: Purpose,
): Promise<KvStore> {
  const options = { create: false, readOnly: purpose === 'to read' };
  const components = storeComponents(terminal);
  try {
    return await openKv(directory, options, components);
  } catch (error) {
    if (!(error instanceof VarveError) || error.details['hasLog'] !== false) {
      throw error;
    }
  }
  // Opening would empty a store without a log that is damaged, which its owner may want and somebody who only looks does not.
  const { outcome } = await repairKv(directory);
  if (outcome !== 'intact') {
    throw new CorruptionError(
      directory,
      undefined,
      'tables of this store without a log are missing or cut short; its program makes it anew',
    );
  }
  return openKv(directory, { ...options, log: false }, components);
}

/** What to do next is not what it is for an event store. */
export function withAdvice(error: unknown, directory: string): unknown {
  if (!(error instanceof VarveError)) {
    return error;
  }
  const { code, message, details } = error;
  const facts = { code, details, cause: error };
  if (code === 'CORRUPT') {
    return new CommandError(message, {
      ...facts,
      exitCode: ExitCode.damaged,
      advice: `Nothing was changed. varve kv verify ${directory} lists the damage, varve kv repair ${directory} says what can be done about it.`,
    });
  }
  if (code === 'NOT_A_STORE') {
    return new CommandError(message, {
      ...facts,
      advice: 'Programs make key-value stores. For an event store leave out the kv: varve --help',
    });
  }
  return error;
}
