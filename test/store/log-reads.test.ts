/** Single records of the log: found in one read, whatever lies around them, blocking or not. */
import type { CorruptionError } from 'varve';
import { SeededRandom, SimulatedFileSystem } from 'varve/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import type { EventLog } from '../../src/log/event-log.ts';
import { RecordView } from '../../src/log/record-view.ts';
import { logOf, segmentsOf, writeLog } from './log-of.ts';

const disk = new SimulatedFileSystem();
let count = 0;
let firstPositions: readonly number[] = [];
let log: EventLog;

/** Small events, now and then a large one: spans with many frames, with one, and with more bytes than a span may have. */
beforeAll(async () => {
  const written = await writeLog(disk, 11, 20, (random) =>
    random.chance(0.005) ? 90_000 : random.below(400),
  );
  firstPositions = written.firstPositions;
  count = written.borders.at(-1)!;
  log = logOf(disk, 1);
}, 60_000);

/** The log as its owner has it who has written it: told of each segment's footer. */
function writtenLog(): EventLog {
  const unsealed = disk.clone();
  for (const [index, path] of segmentsOf(disk).entries()) {
    const next = firstPositions[index + 1];
    if (next !== undefined) {
      const bytes = disk.readFile(path);
      const table = 4 * (next - firstPositions[index]!);
      unsealed.writeFile(path, bytes.slice(0, bytes.length - 128 - table));
    }
  }
  const written = logOf(unsealed);
  for (const [index, path] of segmentsOf(disk).entries()) {
    unsealed.writeFile(path, disk.readFile(path));
    if (index < firstPositions.length - 1) {
      written.sealed(firstPositions[index]!);
    }
  }
  return written;
}

function damageOf(damaged: EventLog, position: number): CorruptionError | undefined {
  const record = new RecordView();
  try {
    damaged.readRecord(position, record);
  } catch (error) {
    expect(error).toMatchObject({ code: 'CORRUPT', position });
    return error as CorruptionError;
  }
  expect(record.position).toBe(position);
  return undefined;
}

describe('a record of the log', () => {
  it('is found at every position, by who opened the log and by who wrote it', () => {
    const record = new RecordView();
    for (const one of [log, writtenLog()]) {
      for (let position = 0; position < count; position += 1) {
        one.readRecord(position, record);
        expect(record.position).toBe(position);
      }
    }
  });

  it('lies where it says', () => {
    const record = new RecordView();
    for (let position = 0; position < count; position += 37) {
      log.readRecord(position, record);
      const bytes = disk.readFile(record.file).subarray(record.fileOffset);
      const own = record.bytes.subarray(record.start, record.end);
      expect(own.equals(bytes.subarray(0, own.length))).toBe(true);
    }
  });

  it('costs one read, and of a span of large records at most three', () => {
    const record = new RecordView();
    const reads: number[] = [];
    const sealed = firstPositions.at(-1)!;
    for (let position = 0; position < sealed; position += 1) {
      log.readRecord(position, record);
      let readCount = 0;
      disk.onOperation = ({ kind }) => (readCount += kind === 'read' ? 1 : 0);
      log.readRecord(position, record);
      disk.onOperation = undefined;
      reads.push(readCount);
    }
    expect(Math.max(...reads)).toBeLessThanOrEqual(3);
    const single = reads.filter((one) => one === 1).length;
    // About one span in thirteen holds a large record.
    expect(single / reads.length).toBeGreaterThan(0.8);
  });

  it('is found whatever has happened to its neighbours', () => {
    const random = new SeededRandom(5);
    const [path] = segmentsOf(disk);
    for (let round = 0; round < 60; round += 1) {
      const copy = disk.clone();
      const damaged = logOf(copy);
      const victim = 16 + random.below(firstPositions[1]! - 32);
      const record = new RecordView();
      damaged.readRecord(victim, record);
      // In its header, where its size and place stand.
      copy.flipBit(path!, record.fileOffset + random.below(40), random.below(8));
      expect(damageOf(damaged, victim)).toMatchObject({ file: path, offset: record.fileOffset });
      for (let position = victim - 16; position <= victim + 16; position += 1) {
        expect(damageOf(damaged, position) === undefined).toBe(position !== victim);
      }
    }
  });

  it('is named where its payload is damaged', () => {
    const copy = disk.clone();
    const damaged = logOf(copy);
    const record = new RecordView();
    for (const position of [16, 17, 31]) {
      damaged.readRecord(position, record);
      const { file, fileOffset, end, start } = record;
      copy.flipBit(file, fileOffset + end - start - 1, 3);
      expect(damageOf(damaged, position)).toMatchObject({ offset: fileOffset });
      damaged.readRecord(position, record, false);
    }
  });
});

describe('a record that is read without blocking', () => {
  it('is in memory of its own, however many are read at the same time, with one file open', async () => {
    const random = new SeededRandom(2);
    const positions = Array.from({ length: 300 }, () => random.below(count));
    const records = await Promise.all(
      positions.map(async (position) => {
        const record = new RecordView();
        await log.readRecordAsync(position, record);
        return record;
      }),
    );
    const blocking = new RecordView();
    for (const [index, record] of records.entries()) {
      expect(record.position).toBe(positions[index]);
      log.readRecord(positions[index]!, blocking);
      expect(record.digest).toEqual(blocking.digest);
      expect(record.payload.equals(blocking.payload)).toBe(true);
      expect([record.file, record.fileOffset]).toEqual([blocking.file, blocking.fileOffset]);
    }
    expect(disk.openCount).toBe(1);
  });

  it('costs one read', async () => {
    const record = new RecordView();
    const kinds: string[] = [];
    disk.onOperation = ({ kind, async }) => kinds.push(`${kind} ${async}`);
    await log.readRecordAsync(5, record);
    await log.readRecordAsync(5, record);
    disk.onOperation = undefined;
    expect(kinds.slice(-1)).toEqual(['read true']);
    expect(kinds.filter((kind) => kind === 'read true')).toHaveLength(2);
  });

  it('is checked as any other, and found in the offset table where its neighbours are damaged', async () => {
    const copy = disk.clone();
    const damaged = logOf(copy);
    const record = new RecordView();
    damaged.readRecord(20, record);
    copy.flipBit(record.file, record.fileOffset + 4, 0);
    await expect(damaged.readRecordAsync(20, record)).rejects.toMatchObject({ code: 'CORRUPT' });
    await damaged.readRecordAsync(21, record);
    expect(record.position).toBe(21);
    const { file, fileOffset, end, start } = record;
    copy.flipBit(file, fileOffset + end - start - 1, 3);
    await expect(damaged.readRecordAsync(21, record)).rejects.toMatchObject({ position: 21 });
    await damaged.readRecordAsync(21, record, false);
  });

  it('keeps its file until it is there, also when the log is closed', async () => {
    const own = disk.clone();
    const closing = logOf(own, 1);
    const record = new RecordView();
    own.holdReads();
    const pending = closing.readRecordAsync(3, record);
    // Another segment's file takes its place.
    closing.readRecord(count - 1, new RecordView());
    expect(own.openCount).toBe(2);
    const second = closing.readRecordAsync(count - 2, new RecordView());
    closing.close();
    expect(own.openCount).toBe(2);
    own.releaseReads();
    await Promise.all([pending, second]);
    expect(record.position).toBe(3);
    expect(own.openCount).toBe(0);
  });

  it('fails as its read does', async () => {
    const own = disk.clone();
    const failing = logOf(own);
    own.onBeforeOperation = ({ index, async }) => {
      if (async) {
        own.faults.failAt(index, 'EIO');
      }
    };
    await expect(failing.readRecordAsync(3, new RecordView())).rejects.toMatchObject({
      code: 'EIO',
    });
    failing.close();
    expect(own.openCount).toBe(0);
  });
});
