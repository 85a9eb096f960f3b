/** The other end of `load-thread.js`. */
import { join } from 'node:path';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { refuse } from '../usage.js';
import { applyLoad, gateNumber, valuesIn, waitAtGate } from './load.js';

if (isMainThread) {
  const program = join(import.meta.dirname, 'durable-append.js');
  refuse(program, 'load-thread.worker.js is started by it, as a thread.');
}
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
