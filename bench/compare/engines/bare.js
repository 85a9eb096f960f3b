/** The least that could serve the callers: one copy, one write and one fdatasync for all who wait. Not an engine. */
import {
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  openSync,
  readFileSync,
  write,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { AppendGrouper } from '../append-grouper.js';
import { KEY_SIZE } from '../engine.js';

const writeAsync = promisify(write);
const fdatasyncAsync = promisify(fdatasync);
/** Up to here a write in place is cheaper than one by way of another thread. */
const WRITE_IN_PLACE_MAX = 64 * 1024;
const zeros = Buffer.alloc(1024 * 1024);

/** @type {import('../engine.js').Engine[]} */
export const engines = [
  bareEngine('bare, overwriting', 'a file written and synced beforehand', true, writeAndSync),
  bareEngine('bare, overwriting, sync', 'the same, with blocking calls', true, writeAndSyncInPlace),
  bareEngine('bare, growing', 'a file that grows', false, writeAndSync),
];

function bareEngine(name, place, isPrepared, store) {
  const settings = `write and fdatasync of ${place}; no checks, no index, no cache.`;
  return {
    name,
    settings,
    threadCounts: [1],
    open: async (directory, plan) => new BareLog(directory, plan, isPrepared, store),
  };
}

class BareLog {
  #path;
  #file;
  #valueSize;
  #store;
  #bytes = Buffer.alloc(64 * 1024);
  #offset = 0;
  #number = 0;
  #grouper = new AppendGrouper((values) => this.#writeGroup(values));

  constructor(directory, { count, valueSize }, isPrepared, store) {
    this.#path = join(directory, 'bare');
    this.#valueSize = valueSize;
    this.#store = store;
    const isNew = !existsSync(this.#path);
    this.#file = openSync(this.#path, isNew ? 'w+' : 'r+');
    if (isNew && isPrepared) {
      prepare(this.#file, count * (KEY_SIZE + valueSize));
    }
  }

  append(value) {
    return this.#grouper.append(value);
  }

  async stored() {
    const bytes = readFileSync(this.#path);
    const recordSize = KEY_SIZE + this.#valueSize;
    let count = 0;
    // Keys begin with 1 here, so that zeros are no record.
    while ((count + 1) * recordSize <= bytes.length) {
      if (bytes.readUInt32BE(count * recordSize + 4) !== count + 1) {
        break;
      }
      count += 1;
    }
    return { count, bytes: count * this.#valueSize };
  }

  async close() {
    closeSync(this.#file);
  }

  #writeGroup(values) {
    const size = values.length * (KEY_SIZE + this.#valueSize);
    if (size > this.#bytes.length) {
      this.#bytes = Buffer.alloc(size);
    }
    const bytes = this.#bytes;
    let at = 0;
    for (const value of values) {
      this.#number += 1;
      bytes.writeUInt32BE(0, at);
      bytes.writeUInt32BE(this.#number, at + 4);
      bytes.set(value, at + KEY_SIZE);
      at += KEY_SIZE + value.length;
    }
    const offset = this.#offset;
    this.#offset += size;
    return this.#store(this.#file, bytes, size, offset);
  }
}

async function writeAndSync(file, bytes, size, offset) {
  if (size <= WRITE_IN_PLACE_MAX) {
    writeSync(file, bytes, 0, size, offset);
  } else {
    await writeAsync(file, bytes, 0, size, offset);
  }
  await fdatasyncAsync(file);
}

function writeAndSyncInPlace(file, bytes, size, offset) {
  writeSync(file, bytes, 0, size, offset);
  fdatasyncSync(file);
}

function prepare(file, size) {
  for (let offset = 0; offset < size; offset += zeros.length) {
    writeSync(file, zeros, 0, Math.min(zeros.length, size - offset), offset);
    fdatasyncSync(file);
  }
}
