import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fail } from '../base/assert.ts';
import { SeededRandom } from '../base/random.ts';
import { SimulatedFileSystem } from './simulated-file-system.ts';
import type { CrashChoice } from './simulated-file-system.ts';

/** A file as the model sees it: every content it may have after a power cut, the last one being the current. */
interface ModelFile {
  contents: Uint8Array[];
}

type Names = ReadonlyMap<string, ModelFile>;

/** One directory. Every set of names that it may have after a power cut in order, the last one being the current. */
class Model {
  names: Names[] = [new Map()];

  get current(): Names {
    return newest(this.names);
  }

  setNames(change: (names: Map<string, ModelFile>) => void): void {
    const names = new Map(this.current);
    change(names);
    this.names.push(names);
  }
}

type Command = (model: Model, disk: SimulatedFileSystem) => void;

const name = fc.constantFrom('/a', '/b', '/c');
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.tuple(name).map(([path]) => create(path)),
  {
    arbitrary: fc.tuple(name, fc.nat(9000), fc.nat(6000), fc.nat(3)).map((args) => write(...args)),
    weight: 4,
  },
  fc.tuple(name, fc.nat(12_000)).map((args) => truncate(...args)),
  fc.tuple(name, name).map((args) => rename(...args)),
  fc.tuple(name, name).map((args) => link(...args)),
  fc.tuple(name).map(([path]) => remove(path)),
  { arbitrary: fc.tuple(name).map(([path]) => sync(path)), weight: 2 },
  fc.constant<Command>((model, disk) => {
    disk.syncDirectory('/');
    model.names.splice(0, model.names.length - 1);
  }),
);
const commands = fc.array(command, { maxLength: 30, size: 'max' });

describe('SimulatedFileSystem against a simple model', () => {
  it('keeps everything current, or only what is durable', () => {
    fc.assert(
      fc.property(commands, fc.integer(), (list, seed) => {
        const { model, disk } = run(list);
        const current = stateOf(model.current, (file) => newest(file.contents));
        expect(stateOfDisk(disk)).toEqual(current);
        expect(stateOfDisk(crash(disk, seed, 'all'))).toEqual(current);
        const durable = stateOf(model.names[0] ?? new Map(), (file) => file.contents[0]);
        expect(stateOfDisk(crash(disk, seed, 'none'))).toEqual(durable);
      }),
      { numRuns: 80 },
    );
  });

  it.each([512, 4096] as const)('leaves only bytes and names that have been (%s)', (sector) => {
    fc.assert(
      fc.property(commands, fc.integer(), (list, seed) => {
        const { model, disk } = run(list);
        const digest = disk.snapshotDigest();
        const clone = crash(disk, seed, 'random', sector, 'ordered');
        const isPossible = model.names.some((names) => isOneOf(names, clone, sector));
        expect(isPossible).toBe(true);
        expect(disk.snapshotDigest()).toBe(digest);
        expect(crash(clone, seed, 'none').snapshotDigest()).toBe(clone.snapshotDigest());
        expect(clone.paths().every((path) => hasZerosBehind(clone, path))).toBe(true);
        const any = crash(disk, seed, 'random', sector, 'any');
        for (const path of any.paths()) {
          const files = model.names.flatMap((names) => names.get(path) ?? []);
          expect(files.some((file) => mayHold(file, any.readFile(path), sector))).toBe(true);
        }
      }),
      { numRuns: 80 },
    );
  });
});

function run(list: readonly Command[]): { model: Model; disk: SimulatedFileSystem } {
  const model = new Model();
  const disk = new SimulatedFileSystem();
  const content = new Uint8Array(14_000).fill(9);
  disk.writeFile('/a', content);
  model.names = [new Map([['/a', { contents: [content] }]])];
  for (const step of list) {
    step(model, disk);
  }
  return { model, disk };
}

function create(path: string): Command {
  return (model, disk) => {
    if (!model.current.has(path)) {
      disk.open(path, 'create').close();
      model.setNames((names) => names.set(path, { contents: [new Uint8Array(0)] }));
    }
  };
}

function write(path: string, offset: number, size: number, value: number): Command {
  const bytes = new Uint8Array(size).fill(value);
  return withFile(path, (file, disk) => {
    disk.open(path, 'write').write(bytes, offset);
    const before = newest(file.contents);
    const after = new Uint8Array(Math.max(before.length, size === 0 ? 0 : offset + size));
    after.set(before);
    after.set(size === 0 ? [] : bytes, size === 0 ? 0 : offset);
    file.contents.push(after);
  });
}

function truncate(path: string, size: number): Command {
  return withFile(path, (file, disk) => {
    disk.open(path, 'write').truncate(size);
    const after = new Uint8Array(size);
    after.set(newest(file.contents).subarray(0, size));
    file.contents.push(after);
  });
}

function sync(path: string): Command {
  return withFile(path, (file, disk) => {
    disk.open(path, 'read').sync();
    file.contents.splice(0, file.contents.length - 1);
  });
}

function rename(source: string, target: string): Command {
  return (model, disk) => {
    const file = model.current.get(source);
    if (file === undefined) {
      return;
    }
    disk.rename(source, target);
    if (model.current.get(target) !== file) {
      model.setNames((names) => names.set(target, file).delete(source));
    }
  };
}

function link(source: string, target: string): Command {
  return (model, disk) => {
    const file = model.current.get(source);
    if (file !== undefined && !model.current.has(target)) {
      disk.link(source, target);
      model.setNames((names) => names.set(target, file));
    }
  };
}

function remove(path: string): Command {
  return withFile(path, (_file, disk, model) => {
    disk.remove(path);
    model.setNames((names) => names.delete(path));
  });
}

function withFile(
  path: string,
  action: (file: ModelFile, disk: SimulatedFileSystem, model: Model) => void,
): Command {
  return (model, disk) => {
    const file = model.current.get(path);
    if (file !== undefined) {
      action(file, disk, model);
    }
  };
}

function newest<T>(states: readonly T[]): T {
  return states.at(-1) ?? fail('the model has a state');
}

function crash(
  disk: SimulatedFileSystem,
  seed: number,
  keep: CrashChoice['keep'],
  sector: 512 | 4096 = 512,
  directory: CrashChoice['directory'] = 'any',
): SimulatedFileSystem {
  return disk.crashClone(new SeededRandom(seed), { keep, sector, directory });
}

function stateOf(
  names: Names,
  contentOf: (file: ModelFile) => Uint8Array | undefined,
): Record<string, string> {
  const entries = [...names].map(([path, file]) => [path, textOf(contentOf(file))] as const);
  return Object.fromEntries(entries);
}

function stateOfDisk(disk: SimulatedFileSystem): Record<string, string> {
  return Object.fromEntries(disk.paths().map((path) => [path, textOf(disk.readFile(path))]));
}

function textOf(content: Uint8Array | undefined): string {
  return Buffer.from(content ?? []).toString('latin1');
}

function isOneOf(names: Names, clone: SimulatedFileSystem, sector: number): boolean {
  const paths = clone.paths();
  return (
    paths.length === names.size &&
    paths.every((path) => {
      const file = names.get(path);
      return file !== undefined && mayHold(file, clone.readFile(path), sector);
    })
  );
}

/** Whether each sector of a content has been in the file, and the size between those it had. */
function mayHold(file: ModelFile, content: Uint8Array, sector: number): boolean {
  const sizes = file.contents.map((past) => past.length);
  if (content.length < Math.min(...sizes) || content.length > Math.max(...sizes)) {
    return false;
  }
  for (let start = 0; start < content.length; start += sector) {
    const end = Math.min(start + sector, content.length);
    const found = content.subarray(start, end);
    if (!file.contents.some((past) => Buffer.compare(found, stretch(past, start, end)) === 0)) {
      return false;
    }
  }
  return true;
}

function hasZerosBehind(disk: SimulatedFileSystem, path: string): boolean {
  const size = disk.readFile(path).length;
  const grown = disk.clone();
  grown.open(path, 'write').truncate(size + 5000);
  return grown
    .readFile(path)
    .subarray(size)
    .every((byte) => byte === 0);
}

/** Bytes of a content, zeros behind its end. */
function stretch(content: Uint8Array, start: number, end: number): Uint8Array {
  const bytes = new Uint8Array(end - start);
  bytes.set(content.subarray(start, end));
  return bytes;
}
