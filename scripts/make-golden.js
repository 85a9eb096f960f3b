/**
 * Writes test/golden/v2: a store as this code writes it, and test/golden/v2-events.json: what is in it; test/golden/v2-scopes is another one,
 * with what the format had kept room for at first. Seed and clock are fixed, so the same code gives the same bytes. Until the first release formats are free: after a change raise their numbers, run
 *
 *     npm run build && node scripts/make-golden.js
 *
 * and commit the result with the change and with docs/formats/. What older code wrote stays, and is refused as such. After
 * the release every later version opens all of them.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { open } from 'varve';
import { SeededRandom, SimulatedClock, SimulatedFileSystem } from 'varve/testing';

const golden = fileURLToPath(new URL('../test/golden/', import.meta.url));
const version = 'v2';

/** What makes each store of the newest format, by its name. */
export const newest = { [version]: makeGolden, [`${version}-scopes`]: makeScopes };

/** Makes the store: two segments, the first of them sealed, and everything that an event can have. */
async function makeGolden() {
  let cut;
  let isRotated = false;
  const disk = new SimulatedFileSystem({
    onOperation: ({ kind, path }) => {
      isRotated ||= kind === 'rename' && path === '/store/log/spare';
      // The process ends when the second segment has its name and no frame: so the first one stays small.
      if (isRotated && kind === 'syncDirectory') {
        cut ??= disk.clone();
      }
    },
  });
  const first = await openGolden(disk, 1);
  await appendFirst(first);
  const large = new Uint8Array(1024 * 1024);
  new SeededRandom(9).fill(large);
  await first.append('large', [{ type: 'Lost', data: large }]);
  await first.close();
  const second = await openGolden(cut, 2);
  await appendSecond(second);
  const events = await eventsOf(second);
  await second.close();
  return { disk: cut, events };
}

/** Keys of scopes: texts and UUIDs, in one commit and in several. */
async function makeScopes() {
  const disk = new SimulatedFileSystem();
  const store = await openGolden(disk, 3);
  const placed = { type: 'Placed', data: { total: 42.5 }, tags: ['customer:7'] };
  const idempotencyKey = 'request-1';
  await store.append('orders/1', [placed], { idempotencyKey });
  const uuid = '0f8fad5b-d9cb-469f-a165-70867728950e';
  for (const idempotencyScope of ['shop-3', 'Größe 😀', uuid]) {
    await store.append('orders/2', [placed], { idempotencyKey, idempotencyScope });
  }
  const parts = ['orders/3', 'orders/4'].map((stream) => ({ stream, events: [placed, placed] }));
  await store.commit(parts, { idempotencyKey: uuid, idempotencyScope: uuid });
  await store.commit(parts, { idempotencyKey: uuid, idempotencyScope: 'shop-3' });
  const events = await eventsOf(store);
  await store.close();
  return { disk, events };
}

function openGolden(fileSystem, seed) {
  const clock = new SimulatedClock({ startMs: 1_800_000_000_000 + seed, tickMs: 1_000 });
  const components = { fileSystem, clock, random: new SeededRandom(seed) };
  return open('/store', { compression: 'deflate', compressionMinBytes: 256 }, components);
}

async function appendFirst(store) {
  await store.append(
    'orders/1',
    [{ type: 'Placed', data: { total: 42.5 }, tags: ['customer:7'] }],
    {
      idempotencyKey: 'request-1',
      expectedRevision: 'none',
    },
  );
  await store.append('orders/2', [{ type: 'Placed', data: null, id: 'order-2-placed' }]);
  await store.append('orders/1', [
    { type: 'Packed', data: new Uint8Array([0, 1, 2, 255]), metadata: { by: 'Zoë 😀' } },
    { type: 'Sent', correlationId: 'c-1', causationId: 'order-2-placed', occurredAt: -1 },
    { type: 'Nothing' },
  ]);
  await store.commit(
    [
      { stream: 'stock/é', events: [{ type: 'Reserved', data: [1, [2], {}], tags: ['a', 'ü'] }] },
      { stream: 'orders/2', events: [{ type: 'Packed', data: '' }], expectedRevision: 0 },
      { stream: 'stock/é', events: [{ type: 'Taken', data: new Uint8Array(0) }] },
    ],
    { idempotencyKey: 'request-2' },
  );
  await store.append('long', [
    { type: 'Text', data: 'to be compressed, '.repeat(40), metadata: [] },
  ]);
}

async function appendSecond(store) {
  await store.append('orders/1', [{ type: 'Filed', occurredAt: 8_000_000_000_000_000 }]);
  await store.append('😀/\uffee', [{ type: 'Ünïcode', id: 'ï' }], { idempotencyKey: 'schlüssel' });
  await store.append('long', [{ type: 'Text', data: new Uint8Array(1_000).fill(7) }]);
  const [id, correlationId, causationId, idempotencyKey] = ['1', '2', '3', '4'].map((digit) =>
    '0f8fad5b-d9cb-469f-a165-70867728950e'.replaceAll('0', digit),
  );
  const event = { type: 'Identified', id, correlationId, causationId };
  await store.append('orders/3', [event], { idempotencyKey });
}

/** Events as JSON can say them: bytes as hexadecimal text. */
export async function eventsOf(store) {
  const events = [];
  for await (const event of store.read()) {
    events.push(
      event.data instanceof Uint8Array
        ? { ...event, data: { bytes: Buffer.from(event.data).toString('hex') } }
        : event,
    );
  }
  return events;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, make] of Object.entries(newest)) {
    const { disk, events } = await make();
    rmSync(join(golden, name), { recursive: true, force: true });
    for (const path of disk.paths()) {
      const target = join(golden, path.replace('/store', name));
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, disk.readFile(path));
    }
    writeFileSync(join(golden, `${name}-events.json`), `${JSON.stringify(events, undefined, 2)}\n`);
  }
}
