import { VarveError } from '../base/errors.ts';
import type { FileSystem } from './file-system.ts';
import { joinPath } from './path.ts';

/**
 * Replaces a small file as one step that survives a power cut: afterwards the old content is there or the new, never a
 * mixture. The name `<name>.tmp` beside it is ours.
 */
export function replaceFile(
  fileSystem: FileSystem,
  directory: string,
  name: string,
  content: Uint8Array,
): void {
  prepareReplacement(fileSystem, directory, name, content);
  finishReplacement(fileSystem, directory, name);
}

/** The first half: the new content is durable beside the old one, and nothing has changed, whether this fails or not. */
export function prepareReplacement(
  fileSystem: FileSystem,
  directory: string,
  name: string,
  content: Uint8Array,
): void {
  const temporary = temporaryOf(directory, name);
  removeIfThere(fileSystem, temporary);
  const file = fileSystem.open(temporary, 'create');
  try {
    const count = file.write(content, 0);
    if (count !== content.length) {
      throw new VarveError(
        'UNAVAILABLE',
        `Only ${count} of ${content.length} bytes of ${temporary} could be written.`,
      );
    }
    // Order: the content is durable before the name points to it.
    file.sync();
  } finally {
    file.close();
  }
}

/**
 * The second half, of several files at once if need be. If it fails, the old content may be there or the new, of each of them, and a power
 * cut may bring the other.
 */
export function finishReplacement(
  fileSystem: FileSystem,
  directory: string,
  ...names: readonly string[]
): void {
  for (const name of names) {
    fileSystem.rename(temporaryOf(directory, name), joinPath(directory, name));
  }
  fileSystem.syncDirectory(directory);
}

function temporaryOf(directory: string, name: string): string {
  return joinPath(directory, `${name}.tmp`);
}

export function removeIfThere(fileSystem: FileSystem, path: string): boolean {
  if (fileSystem.stat(path) === undefined) {
    return false;
  }
  fileSystem.remove(path);
  return true;
}

/** The whole of a small file, or undefined if it isn't there. Files larger than `sizeMax` are not read. */
export function readSmallFile(
  fileSystem: FileSystem,
  path: string,
  sizeMax: number,
): Uint8Array | undefined {
  const found = fileSystem.stat(path);
  if (found === undefined) {
    return undefined;
  }
  const file = fileSystem.open(path, 'read');
  try {
    const bytes = new Uint8Array(Math.min(found.size, sizeMax));
    return bytes.subarray(0, file.read(bytes, 0));
  } finally {
    file.close();
  }
}
