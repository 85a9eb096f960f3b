/**
 * The directories of a simulated disk. Every change of names goes into one log, as into a file system's journal:
 *
 *     durable entries ── change ── change ── change = current entries
 *
 * A change is durable once every directory that it touches has been synced after it; then, when all before it are, it
 * is folded into the durable entries. A power cut keeps all durable changes and some of the others.
 */
import type { SeededRandom } from '../base/random.ts';
import type { CrashChoice, SimulatedInode } from './simulated-inode.ts';
import { systemError } from './system-error.ts';

export class SimulatedDirectory {
  readonly kind = 'directory';
  readonly entries: Map<string, SimulatedNode> = new Map();
  readonly durable: Map<string, SimulatedNode> = new Map();
}

export type SimulatedNode = SimulatedInode | SimulatedDirectory;

/** A name in a directory, which need not be there. */
export interface Place {
  readonly directory: SimulatedDirectory;
  readonly name: string;
}

/** One name that a change gives a new meaning. */
export interface Edit extends Place {
  /** What the name had to mean for the change to be possible; undefined is nothing. */
  readonly before: SimulatedNode | 'anything' | undefined;
  readonly after: SimulatedNode | undefined;
}

/** Edits that happen all or not at all. */
interface Change {
  readonly edits: readonly Edit[];
  /** Those whose sync it still needs. */
  readonly unsynced: Set<SimulatedDirectory>;
  /** Its sync failed: it can't be made durable any more. */
  isLimbo: boolean;
}

type EntriesOf = (directory: SimulatedDirectory) => Map<string, SimulatedNode>;

export class SimulatedTree {
  #root = new SimulatedDirectory();
  #changes: Change[] = [];

  /** The node at a path, or undefined if there is none. */
  find(path: string): SimulatedNode | undefined {
    let node: SimulatedNode | undefined = this.#root;
    for (const name of namesOf(path)) {
      node = node?.kind === 'directory' ? node.entries.get(name) : undefined;
    }
    return node;
  }

  directoryAt(path: string, syscall: string): SimulatedDirectory {
    let node: SimulatedNode = this.#root;
    for (const name of namesOf(path)) {
      if (node.kind !== 'directory') {
        throw systemError('ENOTDIR', syscall, path);
      }
      const next = node.entries.get(name);
      if (next === undefined) {
        throw systemError('ENOENT', syscall, path);
      }
      node = next;
    }
    if (node.kind !== 'directory') {
      throw systemError('ENOTDIR', syscall, path);
    }
    return node;
  }

  /** The place of a path, whose directory must exist. */
  placeOf(path: string, syscall: string): Place {
    const names = namesOf(path);
    const name = names.pop();
    if (name === undefined) {
      throw systemError('EEXIST', syscall, path);
    }
    return { directory: this.directoryAt(`/${names.join('/')}`, syscall), name };
  }

  /** Applies a change now. It is un-synced unless `isDurable`. */
  change(edits: readonly Edit[], isDurable = false): void {
    for (const { directory, name, after } of edits) {
      setEntry(directory.entries, name, after);
    }
    const touched = isDurable ? [] : edits.map((edit) => edit.directory);
    this.#changes.push({ edits, unsynced: new Set(touched), isLimbo: false });
    this.#fold();
  }

  sync(directory: SimulatedDirectory): void {
    for (const change of this.#changes) {
      if (!change.isLimbo) {
        change.unsynced.delete(directory);
      }
    }
    this.#fold();
  }

  /** A sync that failed: no later one makes these changes durable. */
  failSync(directory: SimulatedDirectory): void {
    for (const change of this.#changes) {
      change.isLimbo ||= change.unsynced.has(directory);
    }
  }

  /** What a power cut now could leave. All of it is durable in the copy. */
  crashCopy(random: SeededRandom, choice: CrashChoice): SimulatedTree {
    const entriesOf =
      choice.keep === 'all'
        ? (directory: SimulatedDirectory) => directory.entries
        : entriesAfter(this.#root, this.#survivors(random, choice));
    const copies = new Map<SimulatedInode, SimulatedInode>();
    const copy = new SimulatedTree();
    copy.#root = copyDirectory(this.#root, entriesOf, (inode) => {
      const inodeCopy = copies.get(inode) ?? inode.crashCopy(random, choice);
      copies.set(inode, inodeCopy);
      return inodeCopy;
    });
    return copy;
  }

  /** All paths but the root's, sorted. */
  nodes(): [path: string, node: SimulatedNode][] {
    const nodes: [string, SimulatedNode][] = [];
    const walk = (directory: SimulatedDirectory, path: string): void => {
      for (const [name, node] of directory.entries) {
        nodes.push([`${path}/${name}`, node]);
        if (node.kind === 'directory') {
          walk(node, `${path}/${name}`);
        }
      }
    };
    walk(this.#root, '');
    return nodes.toSorted(([left], [right]) => (left < right ? -1 : 1));
  }

  #fold(): void {
    let count = 0;
    for (const { edits, unsynced } of this.#changes) {
      if (unsynced.size > 0) {
        break;
      }
      for (const { directory, name, after } of edits) {
        setEntry(directory.durable, name, after);
      }
      count += 1;
    }
    this.#changes.splice(0, count);
  }

  /** The changes that a power cut keeps if they are possible without those it drops. */
  #survivors(random: SeededRandom, choice: CrashChoice): Change[] {
    const isDurable = (change: Change): boolean => change.unsynced.size === 0;
    if (choice.keep === 'none' || this.#changes.length === 0) {
      return this.#changes.filter(isDurable);
    }
    if (choice.directory === 'ordered') {
      const least = this.#changes.findLastIndex(isDurable) + 1;
      return this.#changes.slice(0, least + random.below(this.#changes.length - least + 1));
    }
    const keep = random.pick([0.5, 0.1, 0.9]);
    return this.#changes.filter((change) => isDurable(change) || random.chance(keep));
  }
}

/** The names of an absolute path. */
export function namesOf(path: string): string[] {
  if (!path.startsWith('/')) {
    throw systemError('EINVAL', 'path', path);
  }
  return path.split('/').filter((name) => name !== '');
}

/** The durable entries with some changes applied, each directory's made when it is asked for first. */
function entriesAfter(root: SimulatedDirectory, changes: readonly Change[]): EntriesOf {
  const changed = new Map<SimulatedDirectory, Map<string, SimulatedNode>>();
  const present = new Set<SimulatedNode>();
  addDurableDirectories(root, present);
  for (const { edits, unsynced } of changes) {
    const isPossible = edits.every((edit) => {
      const before = (changed.get(edit.directory) ?? edit.directory.durable).get(edit.name);
      return present.has(edit.directory) && (edit.before === 'anything' || edit.before === before);
    });
    if (unsynced.size > 0 && !isPossible) {
      continue;
    }
    for (const { directory, name, after } of edits) {
      const entries = changed.get(directory) ?? new Map(directory.durable);
      changed.set(directory, entries);
      setEntry(entries, name, after);
      if (after?.kind === 'directory') {
        present.add(after);
      }
    }
  }
  return (directory) => changed.get(directory) ?? directory.durable;
}

function addDurableDirectories(directory: SimulatedDirectory, present: Set<SimulatedNode>): void {
  present.add(directory);
  for (const node of directory.durable.values()) {
    if (node.kind === 'directory') {
      addDurableDirectories(node, present);
    }
  }
}

function copyDirectory(
  directory: SimulatedDirectory,
  entriesOf: EntriesOf,
  copyInode: (inode: SimulatedInode) => SimulatedInode,
): SimulatedDirectory {
  const copy = new SimulatedDirectory();
  for (const [name, node] of entriesOf(directory)) {
    const nodeCopy =
      node.kind === 'file' ? copyInode(node) : copyDirectory(node, entriesOf, copyInode);
    copy.entries.set(name, nodeCopy);
    copy.durable.set(name, nodeCopy);
  }
  return copy;
}

function setEntry(
  entries: Map<string, SimulatedNode>,
  name: string,
  node: SimulatedNode | undefined,
): void {
  if (node === undefined) {
    entries.delete(name);
  } else {
    entries.set(name, node);
  }
}
