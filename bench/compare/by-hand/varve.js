import { open } from '../../../dist/index.js';

/** @type {import('./contract.js').Subject} */
export const subject = {
  name: 'varve',
  settings: 'ack durable, idempotency key, id and expected revision with each append; defaults.',
  async open(directory) {
    const store = await open(directory);
    return {
      append: ({ stream, expectedRevision, key, id, type, data }) =>
        store.append(stream, [{ type, data, id }], {
          idempotencyKey: key,
          expectedRevision: expectedRevision === -1 ? 'none' : expectedRevision,
        }),
      readStream: (stream) => countOf(store.read({ stream })),
      readAll: () => countOf(store.read()),
      get: async (position) => (await store.get(position)).data,
      getById: async (id) => (await store.getById(id)).data,
      close: () => store.close(),
    };
  },
};

async function countOf(events) {
  let count = 0;
  for await (const { data } of events) {
    count += data.total === undefined ? 0 : 1;
  }
  return count;
}
