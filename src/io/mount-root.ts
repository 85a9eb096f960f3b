import { joinPath } from './path.ts';

/** Names that file systems and systems make in the root of a mount. */
const mountRootNames: ReadonlySet<string> = new Set([
  'lost+found',
  'System Volume Information',
  '$RECYCLE.BIN',
]);

/** What to do about a name that is in the way: nobody can move away what a file system keeps in its root. */
export function adviceAbout(name: string, directory: string, otherwise: string): string {
  return mountRootNames.has(name)
    ? `the root of a file system has one, so if this is one, use a folder in it, such as ${joinPath(directory, 'store')}`
    : otherwise;
}
