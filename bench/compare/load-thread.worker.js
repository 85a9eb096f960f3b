/** The other end of `load-thread.js`. */
import { parentPort, workerData } from 'node:worker_threads';
import { applyLoad, gateNumber, valuesIn, waitAtGate } from './load.js';

const { module, name, invited, directory, plan, bytes, board } = workerData;
const { engines } = await import(module);
const store = await engines.find((one) => one.name === name).join(directory, plan, invited);
const values = valuesIn(bytes, plan.valueSize);

parentPort.on('message', ({ kind, load }) => (kind === 'load' ? run(load) : leave()));
parentPort.postMessage('joined');

async function run(load) {
  globalThis.gc?.();
  const number = gateNumber(board);
  parentPort.postMessage('ready');
  waitAtGate(board, number);
  parentPort.postMessage(await applyLoad(store, values, board, load));
}

async function leave() {
  await store.close();
  parentPort.close();
}
