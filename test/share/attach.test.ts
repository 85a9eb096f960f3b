/** How clients come to a store, and what keeps a process. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import { attach } from 'varve';
import { SimulatedClock } from 'varve/testing';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { closeOpened, event, fateOf, inMemory, turns } from './settled-calls.ts';
import { Relay } from './relay.ts';
import { turnsUntil } from './threads.ts';

const root = mkdtempSync(join(tmpdir(), 'varve-share-attach-'));
afterEach(closeOpened);
afterAll(() => rmSync(root, { recursive: true }));

describe('attaching', () => {
  it('is for ports of a store, each once', async () => {
    const store = await inMemory();
    const port = store.share();
    const client = await attach(port);
    expect(client.id).toBe(store.id);
    expect(await fateOf(attach(port))).toBe('INVALID_ARGUMENT');
    expect(await fateOf(attach({} as never))).toBe('INVALID_ARGUMENT');
    const options = [{ timeout: 1 }, { timeoutMs: 0 }, { laneBytes: 255 }, { laneBytes: 2 ** 27 }];
    for (const given of options) {
      expect(await fateOf(attach(store.share(), given as object))).toBe('INVALID_ARGUMENT');
    }
    const components = { random: undefined } as object;
    expect(await fateOf(attach(store.share(), {}, components))).toBe('INVALID_ARGUMENT');
    await client.append('a', [event]);
    expect(store.stats().clients).toBe(1);
  });

  it('to a port that does not know the calls of Node says what to do', async () => {
    const port = (await inMemory()).share();
    // As in runtimes that turn a port in a message into one of the web's.
    Object.defineProperty(port, 'on', { value: undefined });
    const attaching = attach(port);
    await expect(attaching).rejects.toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
    await expect(attaching).rejects.toThrow(/give it to the thread in its workerData/);
  });

  it('to a port that nobody answers on fails after a while', async () => {
    const clock = new SimulatedClock();
    const { port1, port2 } = new MessageChannel();
    const attaching = fateOf(attach(port2, { timeoutMs: 3_000 }, { clock }));
    clock.advance(2_999);
    expect(clock.timerCount).toBe(1);
    clock.advance(1);
    expect(await attaching).toBe('INVALID_ARGUMENT');
    port1.close();
  });

  it.each(['text', undefined, null, 7, { kind: 'other' }, new Float64Array(6)])(
    'to a port on which %s comes fails',
    async (message) => {
      const { port1, port2 } = new MessageChannel();
      port1.postMessage(message);
      expect(await fateOf(attach(port2))).toBe('INVALID_ARGUMENT');
    },
  );

  it('a second time from elsewhere is refused, and the first client goes on', async () => {
    const store = await inMemory();
    const shared = store.share();
    const relay = new Relay(shared);
    const client = await attach(relay.port);
    const answer = new Promise((resolve) => {
      shared.on('message', (message: { kind?: string }) => {
        if (message.kind === 'refused') {
          resolve(message);
        }
      });
    });
    shared.postMessage({ kind: 'hello', protocol: 3, laneSize: 1_000 });
    expect(await answer).toMatchObject({ error: { facts: { code: 'INVALID_ARGUMENT' } } });
    expect(await fateOf(client.append('a', [event]))).toBe('done');
  });

  it('from another version of Varve is refused', async () => {
    const store = await inMemory();
    const shared = store.share();
    const { port1, port2 } = new MessageChannel();
    port1.on('message', (hello: object) => shared.postMessage({ ...hello, protocol: 99 }));
    shared.on('message', (message) => port1.postMessage(message));
    expect(await fateOf(attach(port2))).toBe('UNSUPPORTED_FORMAT');
    port1.close();
    shared.close();
  });

  it('ends for a client that puts nonsense into its lane, and for nobody else', async () => {
    const store = await inMemory();
    const relay = new Relay(store.share());
    const [client, other] = await Promise.all([attach(relay.port), attach(store.share())]);
    await client.append('a', [event]);
    const { lane, hubWords } = relay.welcome!;
    const tail = Atomics.load(lane.words, 0);
    const record = new DataView(lane.bytes.buffer, lane.bytes.byteOffset + tail * 8);
    // Size, ticket, request, size of a commit, which is zeros.
    [32, Atomics.add(hubWords, 0, 1), 2, 16].forEach((word, index) =>
      record.setInt32(index * 4, word, true),
    );
    record.setUint32(16 + 8, 1, true);
    Atomics.store(lane.words, 0, tail + 4);
    await other.append('b', [event]);
    await turnsUntil(() => store.stats().clients === 1);
    const call = client.append('a', [event]);
    await expect(call).rejects.toMatchObject({ code: 'CLOSED', cause: { code: 'INTERNAL' } });
    expect(await fateOf(other.append('b', [event]))).toBe('done');
    expect(store.head).toBe(3);
  });

  it('to a store that has been closed says so, and so does sharing it', async () => {
    const store = await inMemory();
    const [here, late, there] = [store.share(), store.share(), store.share()];
    await store.close();
    expect(() => store.share()).toThrow(expect.objectContaining({ code: 'CLOSED' }));
    expect(await fateOf(attach(here))).toBe('CLOSED');
    await turnsUntil(turns(5));
    expect(await fateOf(attach(late))).toBe('CLOSED');
    const worker = new Worker(
      `import('varve').then(async ({ attach }) => {
         const { parentPort, workerData } = await import('node:worker_threads');
         await attach(workerData).catch((error) => parentPort.postMessage(error.code));
       });`,
      { eval: true, workerData: there, transferList: [there] },
    );
    expect(await new Promise((resolve) => worker.once('message', resolve))).toBe('CLOSED');
  });

  it('needs shared memory', async () => {
    const store = await inMemory();
    const { SharedArrayBuffer: kept } = globalThis;
    try {
      Reflect.deleteProperty(globalThis, 'SharedArrayBuffer');
      expect(() => store.share()).toThrow(expect.objectContaining({ code: 'UNSUPPORTED_FORMAT' }));
    } finally {
      globalThis.SharedArrayBuffer = kept;
    }
    expect(await fateOf(attach(store.share()))).toBe('done');
  });

  it('takes the codec of the store, which must be known here', async () => {
    const codec = {
      id: 64,
      name: 'backwards',
      compress: (plain: Uint8Array) => plain.slice(0, 1),
      decompress: (_: Uint8Array, plainSize: number) => Buffer.alloc(plainSize, 'x'),
    };
    const options = { compression: 'backwards', compressionMinBytes: 0 };
    const store = await inMemory(options, { codecs: [codec] });
    expect(await fateOf(attach(store.share()))).toBe('INVALID_ARGUMENT');
    const client = await attach(store.share(), {}, { codecs: [codec] });
    await client.append('a', [{ type: 'T', data: Buffer.alloc(100, 'x') }]);
    const found = await client.get(0);
    expect(Buffer.from(found!.data as Uint8Array).toString()).toBe('x'.repeat(100));
  });
});

describe('a process with a store that is shared', () => {
  const fixture = join(import.meta.dirname, '..', 'fixtures', 'share-exiter.js');

  it.each([
    ['idle', ['acknowledged']],
    ['in-flight', ['acknowledged', 'acknowledged', 'read']],
    ['unref', ['acknowledged']],
    ['same-thread', ['acknowledged']],
  ])('ends by itself: %s', async (way, expected) => {
    const args = [fixture, join(root, `exit-${way}`), way];
    const child = spawn(process.execPath, args, { timeout: 20_000, killSignal: 'SIGKILL' });
    let output = '';
    child.stdout.on('data', (piece) => (output += String(piece)));
    child.stderr.on('data', (piece) => (output += String(piece)));
    const code = await new Promise((resolve) => {
      child.on('close', resolve);
    });
    expect([
      code,
      output
        .split('\n')
        .filter((line) => line !== '')
        .toSorted(),
    ]).toEqual([0, expected]);
  });
});
