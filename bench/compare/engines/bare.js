/**
 * The least that could serve the callers: one copy, one write and one fdatasync for all who wait. Not an engine. Two such
 * loops can't make one log without a lock, so each thread has a file of its own: what the disk gives that many writers.
 */
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

const joining =
  'a file of its own on the same disk, without a common order or lock: the ceiling, not one log.';

/** @type {import('../engine.js').Engine[]} */
export const engines = [
  bareEngine('bare, overwriting', 'a file written and synced beforehand', true, writeAndSync),
  bareEngine('bare, overwriting, sync', 'the same, with blocking calls', true, writeAndSyncInPlace),
  bareEngine('bare, growing', 'a file that grows', false, writeAndSync),
];

function bareEngine(name, place, isPrepared, store) {
  const settings = `write and fdatasync of ${place}; no checks, no index, no cache.`;
  const openLog = async (directory, plan) => new BareLog(directory, plan, isPrepared, store);
  return { name, settings, joining, open: openLog, join: openLog };
}

class BareLog {
  #directory;
  #file;
  #thread;
  #threadCount;
  #valueSize;
  #store;
  #bytes = Buffer.alloc(64 * 1024);
  #offset = 0;
  #number = 0;
  #grouper = new AppendGrouper((values) => this.#writeGroup(values));

  constructor(directory, { count, valueSize, thread, threadCount }, isPrepared, store) {
    this.#directory = directory;
    this.#thread = thread;
    this.#threadCount = threadCount;
    this.#valueSize = valueSize;
    this.#store = store;
    const path = this.#pathOf(thread);
    const isNew = !existsSync(path);
    this.#file = openSync(path, isNew ? 'w+' : 'r+');
    if (isNew && isPrepared) {
      // Room for all appends, for nobody knows how many this thread will make.
      prepare(this.#file, count * (KEY_SIZE + valueSize));
    }
  }

  append(value) {
    return this.#grouper.append(value);
  }

  async stored() {
    let count = 0;
    for (let thread = 0; thread < this.#threadCount; thread += 1) {
      count += this.#countIn(readFileSync(this.#pathOf(thread)), thread);
    }
    return { count, bytes: count * this.#valueSize };
  }

  async close() {
    closeSync(this.#file);
  }

  #pathOf(thread) {
    return join(this.#directory, `bare-${thread}`);
  }

  #countIn(bytes, thread) {
    const recordSize = KEY_SIZE + this.#valueSize;
    let count = 0;
    // Keys begin with 1 here, so that zeros are no record.
    while ((count + 1) * recordSize <= bytes.length) {
      const at = count * recordSize;
      if (bytes.readUInt32BE(at) !== thread || bytes.readUInt32BE(at + 4) !== count + 1) {
        break;
      }
      count += 1;
    }
    return count;
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
      bytes.writeUInt32BE(this.#thread, at);
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
