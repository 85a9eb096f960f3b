/** An open that passes over sealed segments reads of them what tells where they lie, and leaves what is in them to whoever reads it. */
import { audit, type CorruptionError } from 'varve';
import { SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { sha256 } from '../../src/base/digest.ts';
import { type KnownPosition, KnownPositionError } from '../../src/journal/known-position.ts';
import { type OpenedJournal, readJournal } from '../../src/journal/recovery.ts';
import { EventLog } from '../../src/log/event-log.ts';
import { recordsOf } from '../../src/log/log-range.ts';
import { LogEncoder } from '../../src/log/log-encoder.ts';
import { RecordView } from '../../src/log/record-view.ts';
import { identityOf, LOG, logOf, segmentsOf, type WrittenLog, writeLog } from './log-of.ts';

const disk = new SimulatedFileSystem();
let written: WrittenLog;
let end = 0;

beforeAll(async () => {
  written = await writeLog(disk, 3, 3, (random) => random.below(2_000));
  end = written.borders.at(-1)!;
}, 60_000);

interface Passed extends OpenedJournal {
  readonly replayed: readonly number[];
  readonly leavesFrom: number;
}

function pass(fileSystem: SimulatedFileSystem, known?: KnownPosition): Passed {
  const replayed: number[] = [];
  const encoder = new LogEncoder((record) => {
    replayed.push(record.position);
    return undefined;
  });
  const place = { directory: LOG, identity: identityOf(disk) };
  const opened = readJournal({ fileSystem, ...place, encoder, known, passesSealed: true });
  return { ...opened, replayed, leavesFrom: encoder.leavesFrom(opened.end.position) };
}

function from(first: number, to: number = end): number[] {
  return Array.from({ length: to - first }, (_, index) => first + index);
}

function knownAt(position: number): KnownPosition {
  const record = new RecordView();
  logOf(disk).readRecord(position - 1, record);
  return { position, mark: sha256(record.leafInput) };
}

function damageOf(work: () => unknown): CorruptionError {
  try {
    work();
  } catch (error) {
    expect(error).toMatchObject({ code: 'CORRUPT' });
    return error as CorruptionError;
  }
  throw new Error('nothing was found');
}

/** Where the parts of a segment file lie. */
function layoutOf(index: number): { path: string; tableAt: number; footerAt: number } {
  const path = segmentsOf(disk)[index]!;
  const footerAt = disk.readFile(path).length - 128;
  const { firstPositions } = written;
  const tableAt = footerAt - 4 * (firstPositions[index + 1]! - firstPositions[index]!);
  return { path, tableAt, footerAt };
}

describe('an open that passes over sealed segments', () => {
  it('replays the newest one, and reads of the others header, footer and offset table', () => {
    const { firstPositions } = written;
    const bytesOf = new Map<string, number>();
    disk.onOperation = ({ kind, path, size = 0 }) => {
      bytesOf.set(path, (bytesOf.get(path) ?? 0) + (kind === 'read' ? size : 0));
    };
    const { replayed, leavesFrom, segments, end: found } = pass(disk);
    disk.onOperation = undefined;
    const newest = firstPositions.at(-1)!;
    expect([replayed, leavesFrom, found.position]).toEqual([from(newest), newest, end]);
    for (const [index, path] of segmentsOf(disk).slice(0, -1).entries()) {
      const { tableAt, footerAt } = layoutOf(index);
      expect(bytesOf.get(path)).toBe(128 + 128 + footerAt - tableAt);
    }
    const directory = LOG;
    const walked = readJournal({
      fileSystem: disk,
      directory,
      identity: identityOf(disk),
      encoder: new LogEncoder(() => undefined),
    });
    expect(segments).toEqual(walked.segments);
  });

  it('knows the time of the last event below the newest segment', () => {
    const { segments } = pass(disk);
    const record = new RecordView();
    const log = logOf(disk);
    for (const { header, count, maxStamp, isSealed } of segments) {
      log.readRecord(header.firstPosition + count - 1, record);
      expect(maxStamp).toBe(isSealed ? record.time : undefined);
    }
  });

  it('finds every record afterwards', () => {
    const place = { directory: LOG, identity: identityOf(disk) };
    const log = new EventLog(disk, place, pass(disk).segments, 2);
    const record = new RecordView();
    for (const position of from(0)) {
      log.readRecord(position, record);
    }
    expect(record.position).toBe(end - 1);
  });

  it('compares the mark of a known position wherever it stands', () => {
    const { borders, firstPositions } = written;
    const random = new SeededRandom(1);
    const newest = firstPositions.at(-1)!;
    const others = Array.from({ length: 36 }, () => random.pick(borders.slice(1)));
    const positions = [...firstPositions.slice(1), end, ...others];
    for (const position of positions) {
      const known = knownAt(position);
      expect(pass(disk, known).replayed).toEqual(from(Math.max(newest, position)));
      const mark = Uint8Array.from(known.mark);
      mark[7]! ^= 1;
      expect(() => pass(disk, { position, mark })).toThrow(KnownPositionError);
    }
    const inside = borders.findIndex((border, index) => border + 1 < borders[index + 1]!);
    const known = { ...knownAt(borders[inside]! + 1), position: borders[inside]! + 1 };
    expect(() => pass(disk, known)).toThrow('no commit ends there');
    expect(() => pass(disk, { ...knownAt(end), position: end + 1 })).toThrow(KnownPositionError);
  });

  it('walks segments whose footers can not be used', () => {
    const { firstPositions } = written;
    for (const offset of [4, 20, 120]) {
      const copy = disk.clone();
      const { path, footerAt } = layoutOf(1);
      copy.flipBit(path, footerAt + offset, 1);
      const { replayed, segments } = pass(copy);
      const [, second, third, newest] = firstPositions;
      expect(replayed).toEqual([...from(second!, third), ...from(newest!)]);
      expect(segments.map(({ isSealed }) => isSealed)).toEqual([true, false, true, false]);
    }
    const copy = disk.clone();
    copy.flipBit(layoutOf(2).path, layoutOf(2).tableAt + 9, 1);
    expect(pass(copy).replayed).toEqual(from(firstPositions[2]!));
  });

  it('leaves damage in a sealed segment to whoever reads that, and to verify', async () => {
    const { firstPositions } = written;
    const random = new SeededRandom(2);
    for (const [index, firstPosition] of firstPositions.slice(0, -1).entries()) {
      const copy = disk.clone();
      const { path, tableAt } = layoutOf(index);
      copy.flipBit(path, 180 + random.below(tableAt - 200), random.below(8));
      const { segments, replayed } = pass(copy);
      expect(replayed).toEqual(from(firstPositions.at(-1)!));
      const log = new EventLog(copy, { directory: LOG, identity: identityOf(disk) }, segments, 2);
      const found = damageOf(() => [...recordsOf(copy, log.rangeOf(0, end))]);
      expect(found.file).toBe(path);
      expect(found.position).toBeGreaterThanOrEqual(firstPosition);
      expect(found.position).toBeLessThan(firstPositions[index + 1]!);
      const components = { fileSystem: copy, clock: new SimulatedClock() };
      expect((await audit('/store', {}, components)).ok).toBe(false);
    }
  });

  it('finds what is missing, of another store, or does not follow', () => {
    const { firstPositions } = written;
    for (const [index, path] of segmentsOf(disk).entries()) {
      const without = disk.clone();
      without.remove(path);
      damageOf(() => pass(without));
      const changed = disk.clone();
      changed.flipBit(path, 45, 0);
      expect(damageOf(() => pass(changed)).position).toBe(firstPositions[index]);
    }
    // The newest is walked as ever.
    const cut = disk.clone();
    const newest = segmentsOf(disk).at(-1)!;
    const bytes = disk.readFile(newest);
    cut.writeFile(newest, bytes.slice(0, bytes.length - 9));
    expect(damageOf(() => pass(cut)).file).toBe(newest);
  });
});
