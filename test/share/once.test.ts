/** Commits of the same names from several threads at once: each takes effect once, whoever asks. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type CommitKey, type EventStore, open, type StoredEvent } from 'varve';
import { afterAll, expect, it } from 'vitest';
import { all } from './settled-calls.ts';

interface Answer {
  readonly name: CommitKey;
  readonly data?: number;
  readonly outcome: string;
  readonly firstPosition?: number;
}

const root = mkdtempSync(join(tmpdir(), 'varve-once-'));
afterAll(() => rmSync(root, { recursive: true }));

it('a name takes effect once, whichever threads use it at the same time, and every answer is of that commit', async () => {
  const answers: Answer[] = [];
  for (let opening = 0; opening < 2; opening += 1) {
    const store = await open(join(root, 'store'));
    const runs = [1, 2, 3].map((thread) => answersOf(store, opening * 3 + thread));
    answers.push(...(await Promise.all(runs)).flat());
    await store.close();
  }
  const store = await open(join(root, 'store'), { readOnly: true });
  const events = (await all(store.read())).filter(({ type }) => type === 'Made');
  await store.close();
  const made = new Map<string, StoredEvent>(events.map((event) => [nameOf(event), event]));
  expect(made.size).toBe(events.length);
  const appended = answers.filter(({ outcome }) => outcome === 'appended');
  expect(appended.map(({ name }) => nameOf(name)).toSorted()).toEqual([...made.keys()].toSorted());
  expect(answers.filter((answer) => !fits(answer, made.get(nameOf(answer.name))))).toEqual([]);
  const outcomes = new Set(answers.map(({ outcome }) => outcome));
  expect(outcomes).toEqual(new Set(['appended', 'duplicate', 'IDEMPOTENCY_CONFLICT', 'asked']));
});

/** True if that is what a call could hear of the commit that the log has under its name. */
function fits({ outcome, data, firstPosition }: Answer, made: StoredEvent | undefined): boolean {
  if (outcome === 'asked' && firstPosition === undefined) {
    return true;
  }
  const isSame = made?.data === data;
  return (
    made !== undefined &&
    made.position === firstPosition &&
    (outcome === 'asked' || isSame === (outcome !== 'IDEMPOTENCY_CONFLICT'))
  );
}

function nameOf({ idempotencyKey, idempotencyScope }: Partial<CommitKey>): string {
  return JSON.stringify([idempotencyScope, idempotencyKey]);
}

function answersOf(store: EventStore, seed: number): Promise<Answer[]> {
  const port = store.share();
  const options = seed % 3 === 0 ? { laneBytes: 4_096 } : {};
  const worker = new Worker(new URL('../fixtures/once-client.js', import.meta.url), {
    workerData: { port, seed, rounds: 25, options },
    transferList: [port],
  });
  const answers: Answer[] = [];
  worker.on('message', (answered: Answer[]) => answers.push(...answered));
  return new Promise((resolve, reject) => {
    worker.on('error', reject);
    worker.on('exit', () => resolve(answers));
  });
}
