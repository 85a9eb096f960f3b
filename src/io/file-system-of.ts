import { VarveError } from '../base/errors.ts';
import { checkedFileSystem, missingMethodOf } from './checked-file-system.ts';
import { type ComponentModule, isComponentModule, loadComponent } from './component.ts';
import type { FileSystem } from './file-system.ts';
import { NodeFileSystem } from './node-file-system.ts';

/** The file system that a caller gave, named by its module, or left to us. */
export async function fileSystemOf(
  given: FileSystem | ComponentModule | undefined,
): Promise<FileSystem> {
  if (given === undefined) {
    return new NodeFileSystem();
  }
  if (!isComponentModule(given)) {
    return checkedFileSystem(given);
  }
  const made = await loadComponent<FileSystem>(given);
  if (typeof made !== 'object' || made === null || missingMethodOf(made) !== undefined) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `The function "create" of ${given.module.href} did not return a FileSystem.`,
    );
  }
  return checkedFileSystem(made);
}
