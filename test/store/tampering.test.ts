/**
 * Changes by somebody who knows the format and makes every checksum right again. Hashes tell: a record's header holds the
 * digest of its payload and the leaf of the event before it in its stream, and a footer the digest of its segment's leaves.
 *
 * What only a signed checkpoint can tell, because nothing stored here commits to it:
 * - headers of the last event of each stream in the newest segment, and of what is cut from the log's end together with
 *   the tail file, or added there;
 * - a stream whose hashes are computed anew from the change on;
 * - a key or an id that is used twice: verify does not compare them;
 * - a payload replaced by zeros and called erased, which is what erasing does.
 */
import { crc32 } from 'node:zlib';
import { type Finding, RevisionConflictError, type VarveError } from 'varve';
import { SeededRandom, type SimulatedFileSystem } from 'varve/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  decodeSegmentFooter,
  decodeSegmentHeader,
  decodeTail,
  encodeSegmentFooter,
  encodeSegmentHeader,
  encodeTail,
  frameSizeOf,
  type SegmentFooter,
  type SegmentHeader,
} from '../../src/journal/format.ts';
import { isRefusal } from '../../src/base/refusal.ts';
import {
  auditDisk,
  checkDamaged,
  eventsOf,
  expectLocated,
  openDisk,
  SEGMENT_0,
  smallStore,
  textOf,
  twoSegmentStore,
  type Victim,
} from './damage.ts';
import {
  putTogether,
  RecordAt,
  rehash,
  rehashPayload,
  renumber,
  type Surgery,
  tailOf,
  takeApart,
  TextOf,
  textOfRecord,
  withText,
} from './log-surgery.ts';

const TAIL = '/store/log/tail';
const SEGMENT_1 = '/store/log/00000000000000000012.seg';

let small: Victim;
let twoSegments: Victim;
beforeAll(async () => {
  small = await smallStore();
  twoSegments = await twoSegmentStore();
});

/** The small store after an operation on its only segment; the tail file agrees with the result. */
function operate(change: (surgery: Surgery) => void): SimulatedFileSystem {
  const disk = small.disk.clone();
  const bytes = disk.readFile(SEGMENT_0);
  const surgery = takeApart(bytes);
  change(surgery);
  disk.writeFile(SEGMENT_0, Buffer.concat([bytes.subarray(0, 128), putTogether(surgery)]));
  disk.writeFile(TAIL, tailOf(surgery));
  return disk;
}

async function damageIn(disk: SimulatedFileSystem): Promise<readonly Finding[]> {
  const { findings } = await auditDisk(disk);
  return findings.filter(({ severity }) => severity === 'damage');
}

describe('log surgery', () => {
  it('without a change gives the same bytes', () => {
    const disk = operate(() => {});
    expect(disk.snapshotDigest()).toBe(small.disk.snapshotDigest());
  });
});

describe('with all checksums made right, open refuses', () => {
  const changes: Readonly<Record<string, (surgery: Surgery) => void>> = {
    'a commit whose records say other positions': ({ frames }) => {
      frames[2]![0]!.writeUIntLE(9, RecordAt.position, 6);
    },
    'commits in another order': ({ frames }) => {
      frames.splice(1, 2, frames[2]!, frames[1]!);
    },
    'commits in another order, renumbered': (surgery) => {
      surgery.frames.splice(1, 2, surgery.frames[2]!, surgery.frames[1]!);
      renumber(surgery);
    },
    'an idempotency key inside a commit': ({ frames }) => {
      frames[3]![3] = withText(frames[3]![3]!, TextOf.key, 'request-9');
    },
    'a commit split in two whose records say so not': ({ frames }) => {
      const [first, ...others] = frames[3]!;
      frames.splice(3, 1, [first!], others);
    },
    'two commits made one': (surgery) => {
      const [one, other] = surgery.frames;
      surgery.frames.splice(0, 2, [...one!, ...other!]);
      renumber(surgery);
    },
    'two commits made one whose records say so not': ({ frames }) => {
      frames.splice(0, 2, [...frames[0]!, ...frames[1]!]);
    },
    'a commit without its last event whose records say so not': ({ frames }) => {
      frames[3]!.pop();
    },
    'events of a commit in another order': (surgery) => {
      surgery.frames[3]!.reverse();
      renumber(surgery);
    },
    'a frame with bytes behind its records': ({ frames }) => {
      const last = frames[0]!;
      last[0] = Buffer.concat([last[0]!, Buffer.alloc(8)]);
    },
  };

  it.each(Object.keys(changes))('%s', async (name) => {
    const disk = operate(changes[name]!);
    const { refused } = await checkDamaged(disk, small);
    expect(refused).toMatchObject({ code: 'CORRUPT', file: SEGMENT_0 });
    expect(await damageIn(disk)).not.toEqual([]);
  });
});

describe('with all checksums made right but the links from event to event, audit finds', () => {
  const changes: Readonly<Record<string, (surgery: Surgery) => void>> = {
    'two events with their streams swapped': ({ frames }) => {
      frames[0]![0] = withText(frames[0]![0]!, TextOf.stream, 'orders/2');
      frames[1]![0] = withText(frames[1]![0]!, TextOf.stream, 'orders/1');
    },
    'a stream renamed everywhere': ({ frames }) => {
      for (const records of frames) {
        for (const [index, record] of records.entries()) {
          if (textOfRecord(record, TextOf.stream) === 'orders/1') {
            records[index] = withText(record, TextOf.stream, 'orders/7');
          }
        }
      }
    },
    'another type': ({ frames }) => {
      frames[0]![0] = withText(frames[0]![0]!, TextOf.type, 'Cancelled');
    },
    'another id': ({ frames }) => {
      frames[1]![0] = withText(frames[1]![0]!, TextOf.id, 'order-2-planned');
    },
    'another time': ({ frames }) => {
      const record = frames[0]![0]!;
      record.writeUIntLE(record.readUIntLE(RecordAt.time, 6) - 1, RecordAt.time, 6);
    },
    'another idempotency key': ({ frames }) => {
      frames[0]![0] = withText(frames[0]![0]!, TextOf.key, 'request-9');
    },
    'an idempotency key taken away': ({ frames }) => {
      frames[0]![0] = withText(frames[0]![0]!, TextOf.key, '');
    },
    'another payload, with its digest': ({ frames }) => {
      const record = frames[0]![0]!;
      record[record.length - 2]! ^= 1;
      rehashPayload(record);
    },
    'a commit split in two': (surgery) => {
      const [first, second, third, fourth] = surgery.frames[3]!;
      surgery.frames.splice(3, 1, [first!, second!], [third!, fourth!]);
      renumber(surgery);
    },
    'a commit without its last event': (surgery) => {
      surgery.frames[3]!.pop();
      renumber(surgery);
    },
    'a commit less in the middle': (surgery) => {
      surgery.frames.splice(2, 1);
      renumber(surgery);
    },
    'a commit more, a copy of another': (surgery) => {
      surgery.frames.splice(
        2,
        0,
        surgery.frames[1]!.map((record) => Buffer.from(record)),
      );
      renumber(surgery);
    },
  };

  it.each(Object.keys(changes))('%s', async (name) => {
    const disk = operate(changes[name]!);
    const damage = await damageIn(disk);
    expect(damage).not.toEqual([]);
    expect(damage.every(({ file }) => file === SEGMENT_0)).toBe(true);
    // An open follows no links: it would need the leaves of all streams.
    const store = await openDisk(disk);
    const { ok, findings } = await store.verify();
    expect([ok, findings.filter(({ severity }) => severity === 'damage')]).toEqual([false, damage]);
    await store.close();
  });
});

describe('a frame with the link of another predecessor', () => {
  it('is refused, though all else of it is right', async () => {
    const disk = small.disk.clone();
    const bytes = Buffer.from(disk.readFile(SEGMENT_0));
    const { frames } = takeApart(bytes);
    const sizes = frames.map((records) => frameSizeOf(Buffer.concat(records).length));
    const at = bytes.length - sizes.at(-1)!;
    expect(bytes.toString('latin1', at, at + 4)).toBe('VFRM');
    bytes[at + 32]! ^= 1;
    bytes.writeUInt32LE(crc32(bytes.subarray(at, at + 44)), at + 44);
    disk.writeFile(SEGMENT_0, bytes);
    expectLocated((await checkDamaged(disk, small)).refused, SEGMENT_0, at);
  });
});

describe('with all checksums made right, audit finds', () => {
  it('a changed payload, which get refuses to return', async () => {
    const disk = operate(({ frames }) => {
      const record = frames[0]![0]!;
      record[record.length - 2]! ^= 1;
    });
    const [finding] = await damageIn(disk);
    expect(finding).toMatchObject({ position: 0, stream: 'orders/1', offset: 176 });
    const store = await openDisk(disk);
    await expect(store.get(0)).rejects.toMatchObject({ code: 'CORRUPT', offset: 176 });
    expect(await store.verify()).toMatchObject({ ok: false });
    await store.close();
  });

  it('a payload that is called erased and still there', async () => {
    const disk = operate(({ frames }) => {
      frames[0]![0]![RecordAt.flags] = 1;
    });
    expect(await damageIn(disk)).toMatchObject([{ position: 0 }]);
  });

  it('any one bit of any record, but headers at the end of their streams', async () => {
    const last = lastOfStreams(takeApart(small.disk.readFile(SEGMENT_0)));
    const random = new SeededRandom(7);
    let undetected = 0;
    for (const { frame, index, size } of placesOf(takeApart(small.disk.readFile(SEGMENT_0)))) {
      for (let offset = 0; offset < size; offset += 1) {
        const bit = 1 << random.below(8);
        const disk = operate(({ frames }) => {
          frames[frame]![index]![offset]! ^= bit;
        });
        const isCrc = offset < 4;
        const damage = await damageOrRefusal(disk);
        if (!damage && !isCrc) {
          undetected += 1;
          expect(last).toContain(`${frame}/${index}`);
        }
      }
    }
    expect(undetected).toBeGreaterThan(0);
  });
});

describe('a segment header, footer or tail file with its checksum made right', () => {
  const headers: Readonly<Record<string, Partial<SegmentHeader>>> = {
    identity: { identity: new Uint8Array(16) },
    salt: { salt: new Uint8Array(16) },
    index: { index: 7 },
    link: { link: 7 },
    'first position': { firstPosition: 7 },
  };

  it.each(Object.keys(headers))('is refused with another %s in the header', async (name) => {
    for (const path of [SEGMENT_0, SEGMENT_1]) {
      const disk = twoSegments.disk.clone();
      const bytes = disk.readFile(path);
      const header = decodeSegmentHeader(bytes);
      expect(isRefusal(header)).toBe(false);
      bytes.set(encodeSegmentHeader({ ...(header as SegmentHeader), ...headers[name] }));
      disk.writeFile(path, bytes);
      const { refused } = await checkDamaged(disk, twoSegments);
      expect(refused).toMatchObject({ code: 'CORRUPT', file: path });
    }
  });

  const footers: Readonly<Record<string, (footer: SegmentFooter) => SegmentFooter>> = {
    'frame count': (footer) => ({ ...footer, frameCount: footer.frameCount + 1 }),
    'last link': (footer) => ({ ...footer, lastLink: footer.lastLink ^ 1 }),
    'smallest time': (footer) => ({ ...footer, minStamp: footer.minStamp + 1 }),
    'largest time': (footer) => ({ ...footer, maxStamp: footer.maxStamp + 1 }),
    digest: (footer) => ({ ...footer, digest: new Uint8Array(32) }),
  };

  // Full segments are believed by their footers where open needs nothing of them but their borders.
  it.each(Object.keys(footers))('is found by audit with another %s in the footer', async (name) => {
    const disk = twoSegments.disk.clone();
    const bytes = disk.readFile(SEGMENT_0);
    const start = bytes.length - 128;
    const footer = decodeSegmentFooter(bytes.subarray(start)) as SegmentFooter;
    bytes.set(encodeSegmentFooter(footers[name]!(footer)), start);
    disk.writeFile(SEGMENT_0, bytes);
    expect(await auditDisk(disk)).toMatchObject({ ok: false });
    const opened = await openDisk(disk).then(
      async (store) => {
        expect(textOf(await eventsOf(store))).toBe(textOf(twoSegments.events));
        await store.close();
        return 'opened';
      },
      (error: VarveError) => error.code,
    );
    expect(opened).toBe(name === 'last link' ? 'CORRUPT' : 'opened');
  });

  it('is found by audit with another offset in the table of the footer', async () => {
    const disk = twoSegments.disk.clone();
    const bytes = Buffer.from(disk.readFile(SEGMENT_0));
    const start = bytes.length - 128;
    const footer = decodeSegmentFooter(bytes.subarray(start)) as SegmentFooter;
    bytes.writeUInt32LE(bytes.readUInt32LE(start - 4) + 8, start - 4);
    const offsetsCrc = crc32(bytes.subarray(footer.framesEnd, start));
    bytes.set(encodeSegmentFooter({ ...footer, offsetsCrc }), start);
    disk.writeFile(SEGMENT_0, bytes);
    expect(await auditDisk(disk)).toMatchObject({ ok: false });
    const store = await openDisk(disk);
    expect(textOf(await eventsOf(store))).toBe(textOf(twoSegments.events));
    for (let position = 0; position < store.head; position += 1) {
      expect(await store.get(position)).toMatchObject({ position });
    }
    await store.close();
  });

  it('is refused if the tail file says that more was durable, or is from another store', async () => {
    const tail = decodeTail(small.disk.readFile(TAIL));
    if (isRefusal(tail)) {
      throw new Error(tail.reason);
    }
    const changed = [
      { ...tail, durable: tail.durable + 1 },
      { ...tail, segment: tail.segment + 1 },
      { ...tail, identity: new Uint8Array(16) },
    ];
    for (const other of changed) {
      const disk = small.disk.clone();
      disk.writeFile(TAIL, encodeTail(other));
      expect((await checkDamaged(disk, small)).refused).toMatchObject({ code: 'CORRUPT' });
    }
  });

  it('is only a weaker bound if the tail file says that less was durable', async () => {
    const tail = decodeTail(small.disk.readFile(TAIL));
    const disk = small.disk.clone();
    disk.writeFile(
      TAIL,
      encodeTail({ ...(tail as Exclude<typeof tail, { reason: string }>), durable: 3 }),
    );
    const outcome = await checkDamaged(disk, small);
    expect(outcome).toMatchObject({ recovery: { tail: 'behind', wasClosed: false } });
  });
});

describe('what only a signed checkpoint could tell', () => {
  it('is that the end of the log was cut together with the tail file', async () => {
    const disk = operate(({ frames }) => frames.pop());
    expect(await auditDisk(disk)).toMatchObject({ ok: true });
    const store = await openDisk(disk);
    expect(textOf(await eventsOf(store))).toBe(textOf(small.events.slice(0, store.head)));
    await expect(
      store.append('orders/2', [{ type: 'X' }], { expectedRevision: 'none' }),
    ).rejects.toBeInstanceOf(RevisionConflictError);
    await store.close();
  });

  const others: Readonly<Record<string, (surgery: Surgery) => void>> = {
    'the last events of the last commit were dropped': (surgery) => {
      surgery.frames.length = 4;
      surgery.frames[3]!.length = 2;
    },
    'an event was added at the end': ({ frames }) => {
      frames.push([withText(frames[1]![0]!, TextOf.id, 'invented')]);
    },
    'a second commit has a key that was used before': ({ frames }) => {
      const record = withText(frames[1]![0]!, TextOf.id, 'invented');
      frames.push([withText(record, TextOf.key, 'request-1')]);
    },
    'a second event has an id that was used before': ({ frames }) => {
      frames.push([Buffer.from(frames[1]![0]!)]);
    },
  };

  it.each(Object.keys(others))('is that %s', async (name) => {
    const disk = operate((surgery) => {
      const lastTime = surgery.frames.at(-1)![0]!.readUIntLE(RecordAt.time, 6);
      others[name]!(surgery);
      if (surgery.frames.length > 4) {
        surgery.frames.at(-1)![0]!.writeUIntLE(lastTime, RecordAt.time, 6);
      }
      renumber(surgery);
      rehash(surgery);
    });
    expect(await auditDisk(disk)).toMatchObject({ ok: true, findingCount: 0 });
    const store = await openDisk(disk);
    expect(store.head).not.toBe(small.events.length);
    expect(await eventsOf(store)).toHaveLength(store.head);
    await store.close();
  });

  it('is that the hashes of one stream were computed anew, and those of no other', async () => {
    const bytes = small.disk.readFile(SEGMENT_0);
    const disk = operate((surgery) => {
      surgery.frames[0]![0] = withText(surgery.frames[0]![0]!, TextOf.type, 'Cancelled');
      rehash(surgery);
    });
    const before = takeApart(bytes).frames.flat();
    const after = takeApart(disk.readFile(SEGMENT_0)).frames.flat();
    for (const [index, record] of after.entries()) {
      const isOfStream = textOfRecord(record, TextOf.stream) === 'orders/1';
      // The checksum of a record, at its beginning, follows from the rest.
      expect(record.subarray(4).equals(before[index]!.subarray(4))).toBe(!isOfStream);
    }
    expect(await auditDisk(disk)).toMatchObject({ ok: true });
  });

  it('is that all hashes were computed anew', async () => {
    const disk = operate((surgery) => {
      surgery.frames[0]![0] = withText(surgery.frames[0]![0]!, TextOf.type, 'Cancelled');
      rehash(surgery);
    });
    expect(await auditDisk(disk)).toMatchObject({ ok: true });
  });
});

function placesOf({ frames }: Surgery): { frame: number; index: number; size: number }[] {
  return frames.flatMap((records, frame) =>
    records.map((record, index) => ({ frame, index, size: record.length })),
  );
}

function lastOfStreams({ frames }: Surgery): string[] {
  const last = new Map<string, string>();
  for (const [frame, records] of frames.entries()) {
    for (const [index, record] of records.entries()) {
      last.set(textOfRecord(record, TextOf.stream), `${frame}/${index}`);
    }
  }
  return [...last.values()];
}

async function damageOrRefusal(disk: SimulatedFileSystem): Promise<boolean> {
  const { ok } = await auditDisk(disk);
  if (ok) {
    // What audit calls sound must open.
    const store = await openDisk(disk);
    await store.close();
  }
  return !ok;
}
