/** Keys and values that every process makes the same way from their number, so that each can tell what it must find. */
import { createCipheriv } from 'node:crypto';

export const KEY_SIZE = 16;
export const DIRECTORY_COUNT = 10;
export const DELIMITER = 0x2f;
const VALUE_VARIANTS = 16_384;
const secret = Buffer.alloc(16, 'key-value');

/** Keys are in random order: an encrypted number, in one of ten directories, `0/` to `9/`. */
export function keysOf(numbers) {
  const blocks = Buffer.alloc(numbers.length * KEY_SIZE);
  for (let at = 0; at < numbers.length; at += 1) {
    blocks.writeUInt32LE(numbers[at], at * KEY_SIZE);
  }
  const bytes = encrypted(blocks);
  const keys = [];
  for (let at = 0; at < numbers.length; at += 1) {
    const key = bytes.subarray(at * KEY_SIZE, (at + 1) * KEY_SIZE);
    key[0] = 0x30 + (numbers[at] % DIRECTORY_COUNT);
    key[1] = DELIMITER;
    keys.push(key);
  }
  return keys;
}

export function keysFrom(first, count) {
  return keysOf(Uint32Array.from({ length: count }, (_, index) => first + index));
}

/** Random bytes, so that no engine gains by compressing them; many keys share one. */
export class Values {
  size;
  #variants;

  constructor(size) {
    const bytes = encrypted(counted(Math.ceil((size * VALUE_VARIANTS) / KEY_SIZE)));
    this.size = size;
    this.#variants = Array.from({ length: VALUE_VARIANTS }, (_, at) =>
      bytes.subarray(at * size, (at + 1) * size),
    );
  }

  of(number) {
    return this.#variants[number % VALUE_VARIANTS];
  }

  matches(number, found) {
    const { size } = this;
    const expected = this.#variants[number % VALUE_VARIANTS];
    return (
      found !== undefined &&
      found.length === size &&
      found[0] === expected[0] &&
      found[size - 1] === expected[size - 1]
    );
  }
}

function counted(count) {
  const blocks = Buffer.alloc(count * KEY_SIZE);
  for (let at = 0; at < count; at += 1) {
    // Apart from the blocks of keys.
    blocks.writeUInt32LE(at, at * KEY_SIZE);
    blocks[KEY_SIZE - 1] = 1;
  }
  return blocks;
}

function encrypted(blocks) {
  const cipher = createCipheriv('aes-128-ecb', secret, null).setAutoPadding(false);
  return cipher.update(blocks);
}

/** The same numbers in every run (mulberry32): from 0 to below 1. */
export function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function uniformNumbers(count, { below, seed }) {
  const random = randomFrom(seed);
  return Uint32Array.from({ length: count }, () => Math.floor(random() * below));
}

/** Zipf with an exponent of 0.99, as YCSB draws it. */
export function zipfNumbers(count, { below, seed }) {
  const theta = 0.99;
  const random = randomFrom(seed);
  let zeta = 0;
  for (let rank = 1; rank <= below; rank += 1) {
    zeta += rank ** -theta;
  }
  const alpha = 1 / (1 - theta);
  const eta = (1 - (2 / below) ** (1 - theta)) / (1 - (1 + 0.5 ** theta) / zeta);
  return Uint32Array.from({ length: count }, () => {
    const share = random() * zeta;
    if (share < 1 + 0.5 ** theta) {
      return share < 1 ? 0 : 1;
    }
    return Math.min(below - 1, Math.floor(below * (eta * (share / zeta) - eta + 1) ** alpha));
  });
}
