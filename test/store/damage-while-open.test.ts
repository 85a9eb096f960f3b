/**
 * Damage under an open store: whatever is asked of it is answered as before or with a coded error, and `verify` says what
 * is wrong. Also what looks like damage and is none: payloads made of pieces of the store's own log.
 */
import type { EventStore, StoredEvent } from 'varve';
import { SimulatedFileSystem } from 'varve/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { isInStride, stridedBits, strideTitle } from '../stride.ts';
import { encodeFrame, frameSizeOf, PlaceTag } from '../../src/journal/format.ts';
import {
  auditDisk,
  checkCoded,
  eventsOf,
  lineOf,
  noise,
  openDisk,
  SEGMENT_0,
  textOf,
  twoSegmentStore,
  type Victim,
} from './damage.ts';

let victim: Victim;
beforeAll(async () => {
  victim = await twoSegmentStore();
});

/** What a question to a damaged store gave: its answer as text, or undefined if it was refused. */
async function ask(question: () => Promise<string>): Promise<string | undefined> {
  try {
    return await question();
  } catch (error) {
    checkCoded(error);
    expect(error.code).toMatch(/^(?:CORRUPT|UNAVAILABLE)$/);
    return undefined;
  }
}

/** Asks everything that reads; returns how many questions were refused. */
async function askAll(store: EventStore): Promise<number> {
  const { events } = victim;
  let refused = 0;
  const check = async (question: () => Promise<string>, expected: string): Promise<void> => {
    const answer = await ask(question);
    if (answer === undefined) {
      refused += 1;
    } else if (answer !== expected) {
      expect(answer).toBe(expected);
    }
  };
  for (const event of events) {
    const { position, stream, id } = event;
    const line = lineOf(event);
    await check(async () => lineOf(await store.get(position)), line);
    await check(async () => lineOf(await store.getById(id)), line);
    await check(
      async () => textOf(await take(store, { after: position - 1 }, position === 0)),
      line,
    );
    const head = events.findLast((other) => other.stream === stream)!;
    const revision = `${head.revision}/${head.position}`;
    await check(async () => {
      const found = await store.streamHead(stream);
      return `${found?.revision}/${found?.position}`;
    }, revision);
  }
  await check(async () => textOf(await eventsOf(store)), victim.text);
  await check(async () => {
    const backwards: StoredEvent[] = [];
    for await (const event of store.read({}, { direction: 'backwards' })) {
      backwards.unshift(event);
    }
    return textOf(backwards);
  }, victim.text);
  const orders = textOf(events.filter(({ stream }) => stream === 'orders/1'));
  await check(async () => {
    const found: StoredEvent[] = [];
    for await (const event of store.read({ stream: 'orders/1' })) {
      found.push(event);
    }
    return textOf(found);
  }, orders);
  return refused;
}

async function take(
  store: EventStore,
  { after }: { after: number },
  isFirst: boolean,
): Promise<StoredEvent[]> {
  const found: StoredEvent[] = [];
  for await (const event of store.read({}, isFirst ? { limit: 1 } : { after, limit: 1 })) {
    found.push(event);
  }
  return found;
}

describe(`a bit flipped under an open store (${strideTitle})`, () => {
  it('never changes an answer, and is found by verify', async () => {
    let refusedCount = 0;
    for (const path of victim.paths.filter((name) => name.endsWith('.seg'))) {
      const disk = victim.disk.clone();
      const store = await openDisk(disk, 8);
      const size = victim.disk.readFile(path).length;
      for (const bit of stridedBits(size, 4)) {
        disk.flipBit(path, bit >>> 3, bit & 7);
        const refused = await askAll(store);
        const report = await store.verify();
        const { ok, findingCount } = report;
        refusedCount += refused;
        if (findingCount === 0 || (ok && path !== SEGMENT_0)) {
          expect(report, `bit ${bit} of ${path}`).toMatchObject({ ok: false });
        }
        disk.flipBit(path, bit >>> 3, bit & 7);
      }
      expect(await askAll(store)).toBe(0);
      expect(await store.verify()).toMatchObject({ ok: true, findingCount: 0 });
      await store.close();
    }
    expect(refusedCount).toBeGreaterThan(250);
  });

  it('does not let an append build on it unnoticed', async () => {
    const disk = victim.disk.clone();
    const store = await openDisk(disk, 8);
    const key = 'request-1';
    const { offset } = findText(disk, key);
    disk.flipBit(SEGMENT_0, offset, 0);
    // Whether the key was used can't be told any more: that is an error, never a "no".
    await expect(
      store.append('orders/1', [{ type: 'Placed', data: { total: 42 } }], { idempotencyKey: key }),
    ).rejects.toMatchObject({ code: 'CORRUPT', file: SEGMENT_0 });
    await store.close();
  });
});

/** Footer and offset table of the full segment, at most. */
const FOOTER_REACH = 512;

describe(`a segment under an open store (${strideTitle})`, () => {
  it('that is cut short at any length never changes an answer', async () => {
    for (const path of victim.paths.filter((name) => name.endsWith('.seg'))) {
      const disk = victim.disk.clone();
      const store = await openDisk(disk, 8);
      const whole = disk.readFile(path);
      for (let size = 0; size < whole.length; size += 1) {
        if (!isInStride(size, 20)) {
          continue;
        }
        disk.writeFile(path, whole.subarray(0, size));
        const refused = await askAll(store);
        // What a full segment has behind its frames is in memory.
        const isInFooter = path === SEGMENT_0 && size > whole.length - FOOTER_REACH;
        expect(isInFooter || refused > 0, `${path} cut at ${size}`).toBe(true);
        const report = await store.verify();
        expect(report.findingCount, `${path} cut at ${size}`).toBeGreaterThan(0);
      }
    }
  });

  it('that is removed makes reads fail with a code', async () => {
    for (const path of victim.paths.filter((name) => name.endsWith('.seg'))) {
      const disk = victim.disk.clone();
      const store = await openDisk(disk, 8);
      disk.removeFile(path);
      await askAll(store);
      await ask(async () => JSON.stringify(await store.verify()));
      await ask(async () => JSON.stringify(await store.backup('/backup')));
      await store.close();
    }
  });
});

describe('a payload with frame headers that say what is not so', () => {
  it('is not believed when it is torn', async () => {
    const disk = new SimulatedFileSystem();
    const store = await openDisk(disk, 1, 'none');
    await store.append('a', [{ type: 'A' }]);
    const start = disk.readFile(SEGMENT_0).findLastIndex((byte) => byte !== 0) + 1;
    const forged = forgedFrames(disk.readFile(SEGMENT_0).slice(24, 40));
    await store.append('a', [{ type: 'Forged', data: forged }]);
    const bytes = disk.readFile(SEGMENT_0);
    bytes.fill(0, start, start + 64);
    const torn = disk.clone();
    torn.writeFile(SEGMENT_0, bytes);
    const found = await openDisk(torn, 2);
    expect(found.recovery).toMatchObject({ events: 1, quarantined: { position: 1 } });
    await found.close();
    await store.close();
  });
});

describe('a payload made of the log itself', () => {
  it('passes for what it is, whole or torn', async () => {
    const disk = new SimulatedFileSystem();
    const first = await openDisk(disk, 1, 'none');
    await first.append('a', [{ type: 'A', data: 1 }], { idempotencyKey: 'k' });
    await first.append('b', [{ type: 'B', data: { b: true } }]);
    await first.append('a', [{ type: 'A', data: noise(300, 3) }]);
    for (let round = 0; round < 4; round += 1) {
      const image = disk.readFile(SEGMENT_0);
      const end = image.findLastIndex((byte) => byte !== 0) + 1;
      // At every alignment, so that frame images also stand where frames can stand.
      for (let shift = 0; shift < 8; shift += 1) {
        const data = Buffer.concat([
          new Uint8Array(shift),
          image.subarray(0, Math.min(end, 20_000)),
        ]);
        await first.append('copies', [{ type: 'Copy', data: new Uint8Array(data) }]);
      }
    }
    const events = await eventsOf(first);
    const start = disk.readFile(SEGMENT_0).findLastIndex((byte) => byte !== 0) + 1;
    const data = Buffer.concat([disk.readFile(SEGMENT_0).subarray(0, 30_000), noise(64, 1)]);
    await first.append('copies', [{ type: 'Torn', data: new Uint8Array(data) }]);
    await checkTorn(disk, events, Math.ceil(start / 8) * 8);
  });
});

function findText(disk: SimulatedFileSystem, text: string): { offset: number } {
  const offset = Buffer.from(disk.readFile(SEGMENT_0)).indexOf(text);
  expect(offset).toBeGreaterThan(0);
  return { offset };
}

/** The last frame torn at many places: its start is missing and its end is there, or the other way round. */
async function checkTorn(
  disk: SimulatedFileSystem,
  events: readonly StoredEvent[],
  start: number,
): Promise<void> {
  const whole = disk.readFile(SEGMENT_0);
  const end = whole.findLastIndex((byte) => byte !== 0) + 1;
  for (const missing of [16, 60, 512, 4_096, 10_000, 25_000]) {
    for (const from of [start, end - missing]) {
      const bytes = new Uint8Array(whole);
      bytes.fill(0, from, from + missing);
      const torn = disk.clone();
      torn.writeFile(SEGMENT_0, bytes);
      const store = await openDisk(torn, 5);
      expect(store.recovery).toMatchObject({
        wasClosed: false,
        quarantined: { position: events.length },
      });
      expect(textOf(await eventsOf(store))).toBe(textOf(events));
      await store.append('a', [{ type: 'After' }]);
      expect(await store.verify()).toMatchObject({ ok: true, events: events.length + 1 });
      await store.close();
      expect(await auditDisk(torn)).toMatchObject({ ok: true, findingCount: 0 });
    }
  }
}

/** Frames of this segment, but of another offset, at every alignment: all below position 1,000 was durable, they say. */
function forgedFrames(salt: Uint8Array): Uint8Array {
  const size = frameSizeOf(0);
  const data = new Uint8Array(8 * (size + 1));
  const tag = new PlaceTag(salt);
  tag.compute(65_536);
  const header = { bodySize: 0, count: 1, firstPosition: 1_000, durable: 1_000, link: 0, crc: 0 };
  for (let shift = 0; shift < 8; shift += 1) {
    encodeFrame(data, new DataView(data.buffer), shift * (size + 1), header, tag);
  }
  return data;
}
