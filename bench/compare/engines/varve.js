import { attach, open } from '../../../dist/index.js';

const joining =
  'the first thread owns the store and shares it, the other one attaches to the port: its appends travel to the owner through shared memory and are decided there with all others; the same promise.';

/** @type {import('../engine.js').Engine[]} */
export const engines = [
  varveEngine(
    'varve',
    'ack durable (fdatasync), each append with an idempotency key and the expected revision of its stream, SHA-256 leaves; all indexes in memory.',
    keyedAppends,
  ),
  varveEngine(
    'varve, no keys',
    'The same without idempotency keys and expected revisions, one stream per thread.',
    plainAppends,
  ),
];

function varveEngine(name, settings, appendsTo) {
  return {
    name,
    settings,
    joining,
    open: async (directory, { thread }) => {
      const store = await open(directory);
      return {
        append: appendsTo(store, thread),
        invite: () => invite(store),
        stored: () => readAll(store),
        close: () => store.close(),
      };
    },
    join: async (_directory, { thread }, port) => {
      const client = await attach(port);
      return { append: appendsTo(client, thread), close: () => client.close() };
    },
  };
}

function invite(store) {
  const port = store.share();
  return { data: port, transfer: [port] };
}

/** Appends to one stream of the thread. */
function plainAppends(store, thread) {
  const stream = `bench/${thread}`;
  return (value) => store.append(stream, [{ type: 'Happened', data: value }]);
}

/** Each append in flight is the next event of a stream of its own, as with callers who each have one. */
function keyedAppends(store, thread) {
  const free = [];
  let streamCount = 0;
  let keyCount = 0;
  async function appendTo(stream, value) {
    const { name, revision } = stream;
    const event = { type: 'Happened', data: value };
    keyCount += 1;
    const result = await store.append(name, [event], {
      idempotencyKey: `key-${thread}-${keyCount}`,
      expectedRevision: revision,
    });
    stream.revision = result.revision;
    free.push(stream);
  }
  function newStream() {
    streamCount += 1;
    return { name: `bench/streams/${thread}-${streamCount}`, revision: 'none' };
  }
  return (value) => appendTo(free.pop() ?? newStream(), value);
}

async function readAll(store) {
  let count = 0;
  let bytes = 0;
  for await (const event of store.read()) {
    count += 1;
    bytes += event.data.length;
  }
  return { count, bytes };
}
