import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../base/random.ts';
import { encodeSegmentHeader, segmentName } from '../../journal/format.ts';
import { codeOf } from '../../testing/code-of.ts';
import { SimulatedFileSystem } from '../../testing/simulated-file-system.ts';
import {
  makeSample,
  type SampleEntry,
  type SampleOptions,
  sampleIdentity,
  text,
} from '../sstable/table-sample.ts';
import { type CompactionPlan, pickCompaction } from '../compaction/compaction-picker.ts';
import { compactionSettings } from '../compaction/compaction-settings.ts';
import { type KvRepairReport, repairHeld } from './kv-repair.ts';
import { emptyManifest, encodeManifest } from '../manifest/format.ts';
import { LEVEL_COUNT, Levels } from '../manifest/levels.ts';
import { checkFolder, readManifest } from '../manifest/manifest-store.ts';
import { tablePath } from '../sstable/names.ts';
import type { TableMeta } from '../sstable/table-meta.ts';

const settings = compactionSettings({
  levelZeroTables: 2,
  memtableSize: 1_000,
  tableSizeMax: 800,
  levelBaseSize: 2_000,
  levelMultiplier: 2,
});

/** A store in miniature: real tables, levels, and what every key should read as. */
class SmallStore {
  readonly fileSystem = new SimulatedFileSystem();
  readonly model = new Map<string, number | undefined>();
  readonly contents = new Map<number, readonly SampleEntry[]>();
  levels = Levels.empty;
  sequence = 1;
  moves = 0;
  readonly #cursors: (Uint8Array | undefined)[] = Array.from({ length: LEVEL_COUNT });
  #nextNumber = 1;
  #removed: number[] = [];

  constructor() {
    this.fileSystem.writeFile('/kv/LOCK', new Uint8Array(0));
    this.fileSystem.writeFile('/kv/tables/.keep', new Uint8Array(0));
    this.writeLog(0);
  }

  writeLog(firstPosition: number): void {
    const salt = new Uint8Array(16);
    const header = { identity: sampleIdentity, salt, index: 0, firstPosition, link: 0 };
    this.fileSystem.writeFile(`/kv/log/${segmentName(firstPosition)}`, encodeSegmentHeader(header));
  }

  put(keys: readonly string[], random: SeededRandom): void {
    const entries = keys.toSorted().map((key, index) => {
      const sequence = this.sequence + 1 + ((index * 7) % keys.length);
      const value = random.chance(0.2) ? undefined : text('x'.repeat(random.below(40)));
      this.model.set(key, value === undefined ? undefined : sequence);
      return { key: text(key), sequence, value };
    });
    this.sequence += keys.length;
    const tables = this.make([entries], 0, []);
    this.levels = this.levels.apply({ added: [{ level: 0, tables }], removed: [] });
  }

  make(
    pieces: readonly (readonly SampleEntry[])[],
    level: number,
    inputs: readonly number[],
    more: SampleOptions = {},
  ): TableMeta[] {
    return pieces.map((entries, outputIndex) => {
      const number = this.#nextNumber;
      this.#nextNumber += 1;
      const isLastOutput = outputIndex === pieces.length - 1;
      this.contents.set(number, entries);
      return makeSample(this.fileSystem, tablePath('/kv', number), entries, {
        level,
        inputs,
        outputIndex,
        isLastOutput,
        number,
        ...more,
      });
    });
  }

  /** Merges until nothing is left to do; the inputs' files stay until `removeInputs`. */
  settle(): void {
    for (;;) {
      const plan = pickCompaction(this.levels, this.#cursors, settings, new Set());
      if (plan === undefined) {
        return;
      }
      this.#cursors[plan.level] = plan.cursorKey;
      const inputs = plan.inputs.flat();
      const numbers = inputs.map(({ number }) => number);
      this.moves += plan.isTrivialMove ? 1 : 0;
      const pieces = plan.isTrivialMove ? [] : this.merged(plan);
      const tables = plan.isTrivialMove ? inputs : this.make(pieces, plan.outputLevel, numbers);
      this.levels = this.levels.apply({
        added: [{ level: plan.outputLevel, tables }],
        removed: numbers,
      });
      if (!plan.isTrivialMove) {
        this.#removed.push(...numbers);
      }
    }
  }

  merged({ inputs, deeper }: CompactionPlan): SampleEntry[][] {
    const newest = new Map<string, SampleEntry>();
    for (const { number } of inputs.flat()) {
      for (const entry of this.contents.get(number)!) {
        const key = Buffer.from(entry.key).toString();
        if ((newest.get(key)?.sequence ?? 0) < entry.sequence) {
          newest.set(key, entry);
        }
      }
    }
    const entries = [...newest.values()]
      .filter(({ value }) => value !== undefined || deeper.length > 0)
      .toSorted((left, right) => Buffer.compare(left.key, right.key));
    const pieces: SampleEntry[][] = [];
    for (let start = 0; start < entries.length; start += 8) {
      pieces.push(entries.slice(start, start + 8));
    }
    return pieces;
  }

  removeInputs(): void {
    for (const number of this.#removed.splice(0)) {
      this.fileSystem.removeFile(tablePath('/kv', number));
    }
  }

  /** What a read finds in tables in an order of levels: the first one that knows the key. */
  read(levels: Levels, key: string): number | undefined {
    for (const { number } of levels) {
      const entry = this.contents
        .get(number)!
        .find((candidate) => Buffer.compare(candidate.key, text(key)) === 0);
      if (entry !== undefined) {
        return entry.value === undefined ? undefined : entry.sequence;
      }
    }
    return undefined;
  }

  expectRepaired(report: KvRepairReport): void {
    expect(report).toMatchObject({ outcome: 'repaired', damaged: [], undecided: [] });
    const state = readManifest(this.fileSystem, '/kv');
    if (state === 'missing') {
      throw new Error('the repair made no manifest');
    }
    for (const [key, sequence] of this.model) {
      expect([key, this.read(state.levels, key)]).toEqual([key, sequence]);
    }
    expect(checkFolder(this.fileSystem, '/kv', { log: true }).outcome).toBe('intact');
    expect(this.fileSystem.openCount).toBe(0);
  }
}

function versionOf(key: string, sequence: number): SampleEntry {
  return { key: text(key), sequence, value: text('v') };
}

function drawKeys(random: SeededRandom): string[] {
  const isNarrow = random.chance(0.6);
  const first = random.below(300);
  const keys = Array.from({ length: 1 + random.below(9) }, () =>
    String((isNarrow ? first : 0) + random.below(isNarrow ? 12 : 300)).padStart(3, '0'),
  );
  return [...new Set(keys)];
}

describe('a store whose manifest is gone', () => {
  it('reads the same after the repair, whatever was merged and moved', () => {
    let moves = 0;
    let deepest = 0;
    let sunk = 0;
    for (let seed = 1; seed <= 6; seed += 1) {
      const random = new SeededRandom(seed);
      const store = new SmallStore();
      for (let round = 0; round < 25; round += 1) {
        store.put(drawKeys(random), random);
        store.settle();
        if (random.chance(0.7)) {
          store.removeInputs();
        }
      }
      store.removeInputs();
      moves += store.moves;
      deepest = Math.max(
        deepest,
        store.levels.toArrays().findLastIndex(({ length }) => length > 0),
      );
      const report = repairHeld(store.fileSystem, '/kv', { apply: true });
      store.expectRepaired(report);
      sunk += report.kept.filter(({ level }) => level > 0).length;
    }
    expect(moves).toBeGreaterThan(2);
    expect(deepest).toBeGreaterThan(2);
    expect(sunk).toBeGreaterThan(20);
  });

  it('leaves out what a finished merge has replaced, and what an interrupted one has made', () => {
    for (let seed = 1; seed <= 6; seed += 1) {
      const random = new SeededRandom(seed);
      const store = new SmallStore();
      for (let round = 0; round < 6; round += 1) {
        store.put(drawKeys(random), random);
        store.settle();
        store.removeInputs();
      }
      let plan: CompactionPlan | undefined;
      while (plan === undefined || plan.isTrivialMove) {
        store.put(drawKeys(random), random);
        plan = pickCompaction(store.levels, [], settings, new Set());
      }
      const numbers = plan.inputs.flat().map(({ number }) => number);
      const pieces = store.merged(plan);
      const made = store.make(pieces, plan.outputLevel, numbers);
      const unfinished = seed % 2 === 0 && made.length > 1;
      if (unfinished) {
        store.fileSystem.removeFile(tablePath('/kv', made.at(-1)!.number));
      }
      const report = repairHeld(store.fileSystem, '/kv', { apply: true });
      store.expectRepaired(report);
      const kept = new Set(report.kept.map(({ number }) => number));
      expect(made.some(({ number }) => kept.has(number))).toBe(!unfinished);
      expect(numbers.some((number) => kept.has(number))).toBe(unfinished);
    }
  });

  it('is left as it is by a dry run, and says the same', () => {
    const store = new SmallStore();
    store.put(['a', 'b'], new SeededRandom(1));
    store.put(['b', 'c'], new SeededRandom(2));
    const before = store.fileSystem.snapshotDigest();
    const planned = repairHeld(store.fileSystem, '/kv');
    expect(store.fileSystem.snapshotDigest()).toBe(before);
    expect(planned.outcome).toBe('repairable');
    const done = repairHeld(store.fileSystem, '/kv', { apply: true });
    expect({ ...done, outcome: 'repairable' }).toEqual(planned);
    expect(repairHeld(store.fileSystem, '/kv', { apply: true }).outcome).toBe('intact');
  });

  it('has its log replayed from where its tables end', () => {
    const store = new SmallStore();
    store.put(['a', 'b'], new SeededRandom(1));
    store.put(['b', 'c'], new SeededRandom(2));
    expect(repairHeld(store.fileSystem, '/kv')).toMatchObject({
      lastSequence: 5,
      flushedSequence: 5,
      missing: undefined,
    });
    store.fileSystem.removeFile(`/kv/log/${segmentName(0)}`);
    store.writeLog(9);
    expect(repairHeld(store.fileSystem, '/kv')).toMatchObject({
      flushedSequence: 9,
      missing: { from: 5, to: 9 },
    });
  });

  it('drops the start of a flush if the log still has it, and only then', () => {
    for (const start of [0, 3, 4]) {
      const store = new SmallStore();
      store.put(['a', 'b'], new SeededRandom(1));
      store.make([[{ key: text('a'), sequence: 4, value: text('new') }]], 0, [], {
        isLastOutput: false,
      });
      store.fileSystem.removeFile(`/kv/log/${segmentName(0)}`);
      store.writeLog(start);
      const report = repairHeld(store.fileSystem, '/kv');
      expect(report.kept.map(({ number }) => number)).toEqual(start === 4 ? [1, 2] : [1]);
      expect(report.flushedSequence).toBe(start === 4 ? 4 : 3);
    }
  });
});

describe('what can not be repaired', () => {
  it('is set aside if it is damaged, and named', () => {
    const store = new SmallStore();
    for (const keys of [
      ['a', 'b'],
      ['c', 'd'],
      ['e', 'f'],
    ]) {
      store.put(keys, new SeededRandom(1));
    }
    store.fileSystem.flipBit(tablePath('/kv', 1), 60, 3);
    store.fileSystem.flipBit(tablePath('/kv', 2), 10, 3);
    store.fileSystem.writeFile('/kv/manifest', new Uint8Array(500));
    const before = ['1', '2'].map((number) =>
      store.fileSystem.readFile(tablePath('/kv', Number(number))),
    );
    const report = repairHeld(store.fileSystem, '/kv', { apply: true });
    expect(report.damaged.map(({ number }) => number)).toEqual([1, 2]);
    expect(report.kept).toEqual([{ number: 3, level: 0 }]);
    const aside = store.fileSystem.list('/kv/quarantine').map(({ name }) => name);
    expect(aside).toHaveLength(3);
    expect(aside).toContain('0-manifest');
    for (const [index, bytes] of before.entries()) {
      const name = `/kv/quarantine/0-0000000000000000000${index + 1}.tbl`;
      expect(store.fileSystem.readFile(name)).toEqual(bytes);
    }
    expect(checkFolder(store.fileSystem, '/kv', { log: true }).outcome).toBe('intact');
  });

  it('is refused while it can’t be told what is newer', () => {
    const store = new SmallStore();
    store.make([[versionOf('a', 9), versionOf('b', 2)]], 1, [90]);
    store.make([[versionOf('a', 3), versionOf('b', 8)]], 1, [91]);
    store.make([[versionOf('x', 5)]], 1, [92]);
    const before = store.fileSystem.snapshotDigest();
    const report = repairHeld(store.fileSystem, '/kv', { apply: true });
    expect(report.outcome).toBe('refused');
    expect(report.undecided.map(({ number }) => number)).toEqual([2, 1]);
    expect(store.fileSystem.snapshotDigest()).toBe(before);
    const forced = repairHeld(store.fileSystem, '/kv', { apply: true, setAsideUndecided: true });
    expect(forced).toMatchObject({ outcome: 'repaired', kept: [{ number: 3, level: 1 }] });
    expect(store.fileSystem.list('/kv/quarantine')).toHaveLength(2);
  });

  it('is refused where an ingested table overlaps others: only the manifest knew its age', () => {
    const ingested = ['k', 'm'].map((key) => ({ key: text(key), sequence: 0, value: text('v') }));
    const alone = new SmallStore();
    alone.make([ingested], 0, []);
    alone.put(['a', 'b'], new SeededRandom(1));
    expect(repairHeld(alone.fileSystem, '/kv')).toMatchObject({
      outcome: 'repairable',
      ingested: [1],
    });
    alone.put(['a', 'l'], new SeededRandom(1));
    expect(repairHeld(alone.fileSystem, '/kv')).toMatchObject({
      outcome: 'refused',
      undecided: [{ number: 1 }],
    });
  });

  it('is not touched if it is another store’s, or none', () => {
    const store = new SmallStore();
    store.put(['a', 'b'], new SeededRandom(1));
    store.make([[{ key: text('a'), sequence: 9, value: undefined }]], 0, [], {
      identity: new Uint8Array(16).fill(9),
    });
    const before = store.fileSystem.snapshotDigest();
    expect(codeOf(() => repairHeld(store.fileSystem, '/kv', { apply: true }))).toBe('FOREIGN_FILE');
    expect(store.fileSystem.snapshotDigest()).toBe(before);
    const empty = new SimulatedFileSystem();
    empty.makeDirectory('/kv');
    expect(codeOf(() => repairHeld(empty, '/kv', { apply: true }))).toBe('NOT_A_STORE');
  });

  it('is no reason to touch a manifest that can be read', () => {
    const store = new SmallStore();
    store.put(['a', 'b'], new SeededRandom(1));
    const state = emptyManifest({
      identity: sampleIdentity,
      hasLog: true,
      nextTableNumber: 5,
      lastSequence: 9,
      levels: store.levels,
    });
    store.fileSystem.writeFile('/kv/manifest', encodeManifest(state));
    expect(repairHeld(store.fileSystem, '/kv', { apply: true }).outcome).toBe('intact');
    const again = repairHeld(store.fileSystem, '/kv', { evenIfIntact: true });
    expect(again.kept).toEqual([{ number: 1, level: 0 }]);
    store.fileSystem.removeFile(tablePath('/kv', 1));
    expect(repairHeld(store.fileSystem, '/kv', { apply: true }).outcome).toBe('repaired');
  });
});
