/** A stretch of the log is read from its files alone, away from the owner, and checked as an open checks it. */
import type { CorruptionError } from 'varve';
import { SeededRandom, SimulatedFileSystem } from 'varve/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import type { EventLog } from '../../src/log/event-log.ts';
import { type LogRange, recordsOf } from '../../src/log/log-range.ts';
import { logOf, segmentsOf, writeLog } from './log-of.ts';

const disk = new SimulatedFileSystem();
/** First positions of the commits, and the position after the last. */
const borders: number[] = [];
const firstPositions: number[] = [];
let log: EventLog;

beforeAll(async () => {
  const written = await writeLog(disk, 7, 3, (random) => random.below(3_000));
  borders.push(...written.borders);
  firstPositions.push(...written.firstPositions);
  log = logOf(disk);
}, 60_000);

function positionsOf(range: LogRange, fileSystem = disk): number[] {
  const positions: number[] = [];
  for (const record of recordsOf(fileSystem, structuredClone(range))) {
    if (record !== undefined) {
      positions.push(record.position);
    }
  }
  return positions;
}

function expected({ from, to }: LogRange): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

/** What reading a range meets, and how far it came. */
function damageOf(
  range: LogRange,
  fileSystem: SimulatedFileSystem,
): { error: CorruptionError; count: number } {
  let count = 0;
  try {
    for (const record of recordsOf(fileSystem, range)) {
      count += record === undefined ? 0 : 1;
    }
  } catch (error) {
    if ((error as CorruptionError).code === 'CORRUPT') {
      return { error: error as CorruptionError, count };
    }
    throw error;
  }
  throw new Error('nothing was found');
}

describe('a range of the log', () => {
  it('holds its records in order, over all segments', () => {
    const range = log.rangeOf(0, borders.at(-1)!);
    expect(positionsOf(range)).toEqual(expected(range));
  });

  it('begins and ends at any border, also where segments begin', () => {
    const random = new SeededRandom(1);
    const from = [...firstPositions, ...Array.from({ length: 30 }, () => random.pick(borders))];
    for (const first of from) {
      const later = borders.filter((border) => border > first);
      for (const to of [later[0], later.at(-1), firstPositions.find((one) => one > first)]) {
        if (to !== undefined) {
          const range = log.rangeOf(first, to);
          expect(positionsOf(range)).toEqual(expected(range));
        }
      }
    }
  });

  it('lets others go first about every 256 KiB, and leaves no file open', () => {
    const range = log.rangeOf(0, borders.at(-1)!);
    let size = 0;
    let largest = 0;
    for (const record of recordsOf(disk, range)) {
      size = record === undefined ? 0 : size + record.end - record.start;
      largest = Math.max(largest, size);
    }
    expect(largest).toBeGreaterThan(256 * 1024);
    expect(largest).toBeLessThan(264 * 1024);
    const before = disk.openCount;
    const records = recordsOf(disk, range);
    records.next();
    expect(disk.openCount).toBe(before + 1);
    records.return();
    expect(disk.openCount).toBe(before);
  });

  it('says where each record lies', () => {
    const [, second] = firstPositions;
    const [record] = recordsOf(disk, log.rangeOf(second!, borders.at(-1)!));
    expect([record!.file, record!.fileOffset]).toEqual([segmentsOf(disk)[1], 176]);
  });

  it('ends at a border, or is no range of this log', () => {
    const inside = borders.findIndex((border, index) => border + 1 < borders[index + 1]!);
    const range = log.rangeOf(borders[inside]!, borders[inside + 1]!);
    const { error, count } = damageOf({ ...range, to: range.to - 1 }, disk);
    expect([error.reason, error.position, count]).toEqual([
      `no commit ends at position ${range.to - 1}`,
      range.from,
      0,
    ]);
    const end = borders.at(-1)!;
    const beyond = damageOf({ ...log.rangeOf(borders.at(-2)!, end), to: end + 1 }, disk);
    expect([beyond.error.position, beyond.count]).toEqual([end, end - borders.at(-2)!]);
  });

  it('is refused for another store, and where a segment is missing', () => {
    const range = log.rangeOf(0, borders.at(-1)!);
    const other = { ...range, identity: new Uint8Array(16) };
    expect(damageOf(other, disk).error.reason).toBe('the segment belongs to another store');
    for (const [index, path] of segmentsOf(disk).entries()) {
      const copy = disk.clone();
      copy.remove(path);
      const { error, count } = damageOf(range, copy);
      expect([error.position, count]).toEqual([firstPositions[index], firstPositions[index]]);
    }
  });

  it('is refused where a bit has flipped, with file, offset and position', () => {
    const range = log.rangeOf(0, borders.at(-1)!);
    const random = new SeededRandom(3);
    for (const [index, path] of segmentsOf(disk).entries()) {
      const next = firstPositions[index + 1] ?? borders.at(-1)!;
      const size = framesEnd(index);
      for (const offset of [4, 130, size - 20, 200 + random.below(size - 300)]) {
        const copy = disk.clone();
        copy.flipBit(path, offset, random.below(8));
        const { error, count } = damageOf(range, copy);
        expect(error.file).toBe(path);
        expect(error.offset).toBeLessThanOrEqual(offset);
        expect(error.position).toBe(count);
        expect(count).toBeGreaterThanOrEqual(firstPositions[index]!);
        expect(count).toBeLessThan(next);
      }
    }
  });

  it('is refused where a segment of the same store, of another time, stands', () => {
    const copy = disk.clone();
    const [, second, third] = segmentsOf(disk);
    const bytes = disk.readFile(third!);
    copy.writeFile(second!, bytes);
    expect(damageOf(log.rangeOf(0, borders.at(-1)!), copy).error.file).toBe(second);
  });
});

/** Where the last frame of a segment ends, or nearly. */
function framesEnd(index: number): number {
  const path = segmentsOf(disk)[index]!;
  const next = firstPositions[index + 1];
  const size = disk.readFile(path).length;
  return next === undefined ? size : size - 128 - 4 * (next - firstPositions[index]!);
}

describe('the border at or behind a position', () => {
  it('is where the commit that holds the event before it ends', () => {
    let index = 0;
    for (let position = 0; position <= borders.at(-1)!; position += 1) {
      while (borders[index]! < position) {
        index += 1;
      }
      expect(log.borderAtOrBehind(position)).toBe(borders[index]);
    }
  });
});
