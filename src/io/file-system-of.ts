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
  return isComponentModule(given) ? loadComponent<FileSystem>(given) : given;
}
