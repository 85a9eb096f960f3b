/**
 * The thread writes what the inline writer writes, byte for byte, but for `durable` in the headers of frames: it says what
 * was known durable when the frame was finished, and that depends on timing. Whatever covers it is masked too: the CRC of a
 * frame's header, the link of the next frame, which is that CRC, and at the border of segments the last link in the footer and the
 * link in the next segment's header, each with the CRC over them.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type EventStore, open } from 'varve';
import { dumpSegment } from 'varve/inspect';
import { SeededRandom, SimulatedClock } from 'varve/testing';
import { describe, expect, it } from 'vitest';
import { noise } from './damage.ts';
import { newFolder } from '../journal/planned-disk.ts';

const MiB = 1024 * 1024;
const seed = Number(process.env['VARVE_SEED'] ?? 1);
const pool = noise(MiB, 13);

/** Masked bytes, by what stands at an offset: docs/formats/event-log.md. */
const masks = {
  frame: [
    [24, 36], // durable, link
    [44, 48], // CRC of the header
  ],
  header: [
    [44, 48], // link
    [124, 128], // CRC
  ],
  footer: [
    [44, 48], // last link
    [124, 128], // CRC
  ],
} as const;

/** The same calls in the same order, whatever the timing: in bursts, in turns, over several openings. */
async function fill(directory: string, writer: 'thread' | 'inline'): Promise<number> {
  const random = new SeededRandom(seed);
  const clock = new SimulatedClock();
  const options = { background: writer, maxSegmentBytes: MiB, compression: 'deflate' } as const;
  let count = 0;
  for (let session = 0; session < 3; session += 1) {
    const components = { clock, random: new SeededRandom(seed + session) };
    const store = await open(directory, options, components);
    for (let burst = 0; burst < 12; burst += 1) {
      clock.advance(random.below(50));
      const size = random.pick([1, 3, 40, 200]);
      const sent = Array.from({ length: size }, () => send(store, random));
      count += size;
      await Promise.all(sent);
    }
    await store.close();
  }
  return count;
}

async function send(store: EventStore, random: SeededRandom): Promise<unknown> {
  const size = random.chance(0.02) ? random.below(400_000) : random.below(3_000);
  const start = random.below(pool.length - size);
  const event = {
    type: 'Noted',
    data: random.chance(0.5) ? pool.subarray(start, start + size) : { text: 'x'.repeat(size) },
  };
  const key = random.chance(0.3) ? { idempotencyKey: `key-${random.uint32()}` } : {};
  const stream = `s/${random.below(30)}`;
  return random.chance(0.1)
    ? store.commit(
        [
          { stream, events: [event, event] },
          { stream: 'other', events: [event] },
        ],
        key,
      )
    : store.append(stream, [event], { ...key, ...(random.chance(0.1) ? { ack: 'written' } : {}) });
}

interface Picture {
  readonly masked: ReadonlyMap<string, string>;
  readonly plain: ReadonlyMap<string, string>;
  readonly frameCount: number;
  readonly names: readonly string[];
}

/** Digests of all files, as they are and with the masks on. */
function pictureOf(directory: string): Picture {
  const masked = new Map<string, string>();
  const plain = new Map<string, string>();
  let frameCount = 0;
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).toSorted();
  for (const name of names) {
    const path = join(directory, name);
    if (statSync(path).isDirectory()) {
      continue;
    }
    const bytes = readFileSync(path);
    plain.set(name, sha256(bytes));
    if (name.endsWith('.seg')) {
      frameCount += mask(path, bytes);
    }
    masked.set(name, sha256(bytes));
  }
  return { masked, plain, frameCount, names };
}

function mask(path: string, bytes: Buffer): number {
  let frameCount = 0;
  for (const { kind, offset } of dumpSegment(path)) {
    expect(['frame', 'header', 'footer', 'record', 'zeros']).toContain(kind);
    frameCount += kind === 'frame' ? 1 : 0;
    if (kind === 'frame' || kind === 'header' || kind === 'footer') {
      for (const [start, end] of masks[kind]) {
        bytes.fill(0, offset + start, offset + end);
      }
    }
  }
  return frameCount;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('the same commits at the same times with the same random numbers', () => {
  it(`make the same files by the thread as inline, but for durable in frames (seed ${seed})`, async () => {
    const [inline, again, thread] = [newFolder(), newFolder(), newFolder()];
    const count = await fill(inline, 'inline');
    await fill(again, 'inline');
    await fill(thread, 'thread');
    const expected = pictureOf(inline);
    const found = pictureOf(thread);
    expect(expected.names.filter((name) => name.endsWith('.seg')).length).toBeGreaterThan(3);
    expect(found.names).toEqual(expected.names);
    expect([...found.masked]).toEqual([...expected.masked]);
    expect(found.frameCount).toBe(count);
    // The mask hides nothing else: what no timing touches is the same without it.
    expect(found.plain.get('log/tail')).toBe(expected.plain.get('log/tail'));
    expect(found.plain.get('store.json')).toBe(expected.plain.get('store.json'));
    expect([...pictureOf(again).masked]).toEqual([...expected.masked]);
  });
});
