/** Names that may stand in a store's folder: its own, and those that begin with a dot. */
import { VarveError } from '../base/errors.ts';
import type { FileSystem } from './file-system.ts';
import { adviceAbout } from './mount-root.ts';
import { joinPath } from './path.ts';

const MOVE_IT = 'move it elsewhere';

/**
 * Throws `FOREIGN_FILE` if a store's folder holds something that isn't ours, `NOT_A_STORE` if the folder is no store's and holds such a thing.
 * A store's folder has one of the names `marks`.
 */
export function inspectNames(
  fileSystem: FileSystem,
  directory: string,
  ownNames: ReadonlySet<string>,
  marks: readonly string[],
): void {
  const names = fileSystem.list(directory).map(({ name }) => name);
  const foreign = names.find((name) => !ownNames.has(name) && !name.startsWith('.'));
  if (foreign === undefined) {
    return;
  }
  if (names.some((name) => marks.includes(name))) {
    throw foreignFile(joinPath(directory, foreign), adviceAbout(foreign, directory, MOVE_IT));
  }
  const advice = adviceAbout(foreign, directory, 'give a new or an empty folder');
  throw new VarveError(
    'NOT_A_STORE',
    `${directory} holds other things than a store (${JSON.stringify(foreign)}, for one): ${advice}.`,
    { details: { directory, file: foreign } },
  );
}

export function foreignFile(path: string, advice: string = MOVE_IT): VarveError {
  return new VarveError('FOREIGN_FILE', `${path} is not a file of this store: ${advice}.`, {
    details: { file: path },
  });
}
