/**
 * An open store that nobody uses costs nothing: no thread before there is something to write, and no wake-up of any thread
 * of the process once it is at rest. The kernel counts: `voluntary_ctxt_switches` of each thread. Linux only.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { newFolder } from './planned-disk.ts';

const fixture = join(import.meta.dirname, '..', 'fixtures', 'idler.js');
/** The length of a look. Tests wait for no time: it is looked only if a length is given, as it is at night. */
const windowMs = Number(process.env['VARVE_IDLE_MS'] ?? 0);
/** Within so many looks a store must have come to rest: its last event is a tail file, a second after the last append. */
const LOOK_COUNT_MAX = 8;

describe.runIf(process.platform === 'linux')('an idle store', () => {
  it.runIf(windowMs > 0).each([
    ['thread', 'appended'],
    ['inline', 'appended'],
    ['thread', 'opened'],
  ])('wakes no thread of its process: %s, %s', async (writer, stage) => {
    const child = spawnIdler(newFolder(), stage, writer);
    await readyOf(child);
    let looks = 0;
    let woken: readonly string[] = ['not looked yet'];
    while (woken.length > 0 && looks < LOOK_COUNT_MAX) {
      const before = switchesOf(child.pid!);
      await wait(windowMs);
      const after = switchesOf(child.pid!);
      expect(after.size).toBe(before.size);
      woken = [...after.keys()].filter((thread) => after.get(thread) !== before.get(thread));
      looks += 1;
    }
    expect(woken).toEqual([]);
    await endOf(child);
  });

  it('has one thread more once something was appended, and none more inline', async () => {
    const counts: Record<string, number> = {};
    for (const stage of ['opened', 'appended']) {
      for (const writer of ['thread', 'inline']) {
        const child = spawnIdler(newFolder(), stage, writer);
        counts[`${writer} ${stage}`] = await readyOf(child);
        await endOf(child);
      }
    }
    expect(counts['thread opened']).toBe(counts['inline opened']);
    expect(counts['thread appended']).toBe(counts['thread opened']! + 1);
  });
});

function spawnIdler(...args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [fixture, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
}

async function readyOf(child: ChildProcess): Promise<number> {
  const [piece] = (await once(child.stdout!, 'data')) as [Buffer];
  const [word, count] = String(piece).trim().split(' ');
  expect(word).toBe('ready');
  return Number(count);
}

async function endOf(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.stdin!.end();
  expect(await exited).toEqual([0, null]);
}

/** Times each thread gave up the processor of its own accord: each time it had been woken. */
function switchesOf(pid: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    const [, count] = /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status) ?? [];
    counts.set(thread, Number(count));
  }
  return counts;
}
