/**
 * A real process, killed with SIGKILL in the middle of its puts, flushes and merges on threads, again and again on one
 * folder. The page cache survives a kill, so this says nothing about power cuts; it says that lock, recovery and tidying up
 * work as they are, outside the simulator. VARVE_KILL_ROUNDS sets the number of kills.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type KvStore, openKv } from 'varve/kv';
import { SeededRandom } from 'varve/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { turns } from '../turns.ts';

const rounds = Number(process.env['VARVE_KILL_ROUNDS'] ?? 9);
const seed = Number(process.env['VARVE_SEED'] ?? 1);
const fixture = join(import.meta.dirname, '..', 'fixtures', 'kv-writer.js');
const root = mkdtempSync(join(tmpdir(), 'varve-kv-kill-'));
afterAll(() => rmSync(root, { recursive: true }));

/** What all children together were told, and what they may have tried. */
interface Ledger {
  /** Version of each number that was acknowledged. */
  readonly acknowledged: Map<number, number>;
  /** Every number below it may have been written. */
  attempted: number;
}

describe('a process that is killed while it puts', () => {
  it(`loses nothing acknowledged, ${rounds} times (seed ${seed})`, async () => {
    const random = new SeededRandom(seed);
    const directory = join(root, 'store');
    const ledger: Ledger = { acknowledged: new Map(), attempted: 0 };
    let replayed = 0;
    for (let round = 0; round < rounds; round += 1) {
      await runAndKill(directory, ledger, random);
      // Two times of three the next child is the one who finds what the killed one left.
      if (round % 3 === 2 || round === rounds - 1) {
        replayed += await checkStore(directory, ledger);
      }
    }
    expect(ledger.acknowledged.size).toBeGreaterThan(rounds * 5);
    expect(replayed).toBeGreaterThan(0);
  });
});

/** Lets a child put until it was told of a random number of puts, and kills it. */
async function runAndKill(directory: string, ledger: Ledger, random: SeededRandom): Promise<void> {
  const inFlight = random.pick([1, 16, 64, 256]);
  const args = [fixture, directory, String(ledger.attempted), String(inFlight)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const wanted = 1 + random.below(1_500);
  // A few milliseconds, but counted in what happens, not in time.
  const turnCount = random.chance(0.3) ? random.below(2_000) : 0;
  await readAcks(child, ledger, wanted, turnCount);
  await exited;
  expect(child.signalCode).toBe('SIGKILL');
  const last = Math.max(-1, ...ledger.acknowledged.keys());
  // Whoever acknowledged a number has at most as many more in flight.
  ledger.attempted = Math.max(ledger.attempted, last + inFlight + 1);
}

async function readAcks(
  child: ChildProcess,
  { acknowledged }: Ledger,
  wanted: number,
  turnCount: number,
): Promise<void> {
  let ackCount = 0;
  let highest = Math.max(0, ...acknowledged.values());
  for await (const line of createInterface({ input: child.stdout! })) {
    const [word, number, version] = line.split(' ');
    expect(word, line).toMatch(/^(?:ready|ack)$/);
    if (word === 'ready') {
      expect(Number(number), 'versions are not given again').toBeGreaterThanOrEqual(highest);
      highest = Number(number);
    } else {
      expect(Number(version), 'versions grow').toBeGreaterThan(highest);
      acknowledged.set(Number(number), Number(version));
      ackCount += 1;
      if (ackCount === wanted) {
        void turns(turnCount).then(() => child.kill('SIGKILL'));
      }
    }
  }
}

/** Opens the store here: all that was acknowledged is there as it was put, and nothing else but what was asked for. */
async function checkStore(directory: string, ledger: Ledger): Promise<number> {
  const kv = await openKv(directory, { background: 'thread', memtableBytes: 16 * 1024 });
  const { replayed } = kv.recovery;
  checkEntries(kv, ledger);
  await kv.settled();
  checkEntries(kv, ledger);
  expect(await kv.verify()).toMatchObject({ ok: true, problems: [] });
  const named = kv.tables().length;
  expect(readdirSync(join(directory, 'tables'))).toHaveLength(named);
  await kv.close();
  return replayed;
}

function checkEntries(kv: KvStore, { acknowledged, attempted }: Ledger): void {
  const newest = new Map<number, number>();
  const found = new Set<number>();
  for (const [key, value] of kv.iterateSync({ prefix: 'own/' })) {
    const number = Number(Buffer.from(key).toString().slice(4));
    expect(Buffer.from(value).toString()).toBe(`${number}:${'x'.repeat(number % 300)}`);
    expect(number).toBeLessThan(attempted);
    found.add(number);
    const { version } = kv.getEntrySync(key)!;
    const place = number % 50;
    const isNewer = version > (kv.getEntrySync(`own/${newest.get(place)}`)?.version ?? 0);
    newest.set(place, isNewer ? number : newest.get(place)!);
  }
  for (const [number, version] of acknowledged) {
    if (!found.has(number)) {
      expect(number, 'an acknowledged number').toBe('there');
    }
    expect(kv.getEntrySync(`own/${number}`)?.version).toBe(version - 1);
  }
  for (const [place, number] of newest) {
    expect(Buffer.from(kv.getSync(`shared/${place}`)!).toString()).toBe(String(number));
  }
}
