/**
 * A real process, killed with SIGKILL in the middle of its appends, again and again on one folder. The page cache survives
 * a kill, so this says nothing about power cuts; it says that lock, recovery and keys work as they are, outside the
 * simulator. VARVE_KILL_ROUNDS sets the number of kills.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { audit, type EventStore, open, type StoreOptions } from 'varve';
import { SeededRandom } from 'varve/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { turns } from '../turns.ts';

const rounds = Number(process.env['VARVE_KILL_ROUNDS'] ?? 30);
const seed = Number(process.env['VARVE_SEED'] ?? 1);
const fixture = join(import.meta.dirname, '..', 'fixtures', 'appender.js');
const root = mkdtempSync(join(tmpdir(), 'varve-kill-'));
afterAll(() => rmSync(root, { recursive: true }));

interface Numbered {
  readonly type: 'Numbered';
  readonly data: { readonly number: number; readonly text: string };
}

/** What all children together were told, and what they may have tried. */
interface Ledger {
  /** Position of each number that was acknowledged. */
  readonly acknowledged: Map<number, number>;
  /** Every number below it may have been appended. */
  attempted: number;
}

/** Generations of 8 and of 64 events: threads make runs and merge them all the time. */
const profiles: Readonly<Record<string, { options: StoreOptions; rounds: number }>> = {
  'a usual index': { options: {}, rounds },
  'a tiny index': { options: { indexMemoryBytes: 16 * 1024 }, rounds: Math.ceil(rounds / 10) },
  'a small index': { options: { indexMemoryBytes: 128 * 1024 }, rounds: Math.ceil(rounds / 8) },
};

describe('a process that is killed while it appends', () => {
  it.each(Object.entries(profiles).map(([name, profile]) => ({ name, ...profile })))(
    `loses nothing acknowledged and repeats nothing: $name, $rounds times (seed ${seed})`,
    async ({ name, options, rounds: roundCount }) => {
      const random = new SeededRandom(seed);
      const directory = join(root, name);
      const ledger: Ledger = { acknowledged: new Map(), attempted: 0 };
      let tornCount = 0;
      for (let round = 0; round < roundCount; round += 1) {
        await runAndKill(directory, ledger, random, options);
        loseDerived(directory, random);
        // Four times of five the next child is the one who finds what the killed one left.
        if (round % 5 === 4 || round === roundCount - 1) {
          tornCount += await checkStore(directory, ledger, options);
        }
      }
      expect(ledger.acknowledged.size).toBeGreaterThan(roundCount * 5);
      expect(await audit(directory)).toMatchObject({ ok: true, findingCount: 0 });
      // What was cut is kept, one file a tear at most.
      const kept = readdirSync(directory).includes('quarantine')
        ? readdirSync(join(directory, 'quarantine')).length
        : 0;
      expect(kept).toBeGreaterThanOrEqual(tornCount > 0 ? 1 : 0);
    },
  );
});

/** Lets a child append until it was told of a random number of appends, and kills it. */
async function runAndKill(
  directory: string,
  ledger: Ledger,
  random: SeededRandom,
  options: StoreOptions,
): Promise<void> {
  // Some begin with numbers that were appended before: keys must tell.
  const overlap = random.below(40);
  const first = Math.max(0, ledger.attempted - overlap);
  const inFlight = random.pick([1, 4, 64, 256]);
  const args = [fixture, directory, String(first), String(inFlight), JSON.stringify(options)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const wanted = 1 + random.below(150);
  // A few milliseconds, but counted in what happens, not in time.
  const turnCount = random.chance(0.3) ? random.below(2_000) : 0;
  const ackCount = await readAcks(child, ledger, wanted, turnCount);
  await exited;
  expect(child.signalCode).toBe('SIGKILL');
  expect(ackCount).toBeGreaterThanOrEqual(wanted);
  const seen = Math.max(ledger.attempted, ...ledger.acknowledged.keys());
  // Whoever acknowledged a number has at most as many more in flight.
  ledger.attempted = seen + inFlight + 1;
}

/** Now and then a file of derived data is gone, too. */
function loseDerived(directory: string, random: SeededRandom): void {
  const derived = join(directory, 'derived');
  if (existsSync(derived) && random.chance(0.3)) {
    const files = readdirSync(derived, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    if (files.length > 0) {
      const { parentPath, name } = random.pick(files);
      rmSync(join(parentPath, name));
    }
  }
}

async function readAcks(
  child: ChildProcess,
  ledger: Ledger,
  wanted: number,
  turnCount: number,
): Promise<number> {
  let ackCount = 0;
  for await (const line of createInterface({ input: child.stdout! })) {
    const [word, number, position] = line.split(' ');
    expect(word, line).toMatch(/^(?:ready|ack)$/);
    if (word === 'ack') {
      noteAck(ledger, Number(number), Number(position));
      ackCount += 1;
      if (ackCount === wanted) {
        void turns(turnCount).then(() => child.kill('SIGKILL'));
      }
    }
  }
  return ackCount;
}

function noteAck(ledger: Ledger, number: number, position: number): void {
  const known = ledger.acknowledged.get(number);
  if (known !== undefined && known !== position) {
    expect({ number, position }, 'a repeat is answered with the first result').toEqual({
      number,
      position: known,
    });
  }
  ledger.acknowledged.set(number, position);
}

/** Opens the store here: all that was acknowledged is there once; sending everything again adds only what is missing. */
async function checkStore(
  directory: string,
  ledger: Ledger,
  options: StoreOptions,
): Promise<number> {
  const store = await open<Numbered>(directory, options);
  const { quarantined } = store.recovery;
  const before = await positionsOf(store);
  for (const [number, position] of ledger.acknowledged) {
    if (before.get(number) !== position) {
      expect(before.get(number), `number ${number}`).toBe(position);
    }
  }
  expect([...before.keys()].every((number) => number < ledger.attempted)).toBe(true);
  const sent = Array.from({ length: ledger.attempted }, (_, number) => number);
  const answers = await Promise.all(
    sent.map(async (number) => {
      const data = { number, text: 'x'.repeat(number % 1_500) };
      const event: Numbered = { type: 'Numbered', data };
      const key = `key-${number}`;
      return store.append(`s/${number % 7}`, [event], { idempotencyKey: key });
    }),
  );
  for (const [number, { outcome, firstPosition }] of answers.entries()) {
    expect(outcome === 'duplicate').toBe(before.has(number));
    noteAck(ledger, number, firstPosition);
  }
  const after = await positionsOf(store);
  expect(after.size).toBe(ledger.attempted);
  expect(store.head).toBe(ledger.attempted);
  expect(await store.verify()).toMatchObject({ ok: true, findingCount: 0 });
  await store.settled();
  if (options.indexMemoryBytes !== undefined) {
    expect(store.stats().index.covered).toBeGreaterThan(0);
  }
  await store.close();
  return quarantined === undefined ? 0 : 1;
}

/** Positions of all numbers; each may stand there once, and as it was sent. */
async function positionsOf(store: EventStore<Numbered>): Promise<Map<number, number>> {
  const positions = new Map<number, number>();
  for await (const { data, position, stream } of store.read()) {
    const isAsSent = data.text.length === data.number % 1_500 && stream === `s/${data.number % 7}`;
    if (positions.has(data.number) || !isAsSent) {
      expect({ data, position, stream, other: positions.get(data.number) }).toBe('once, as sent');
    }
    positions.set(data.number, position);
  }
  return positions;
}
