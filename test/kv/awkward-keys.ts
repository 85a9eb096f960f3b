/** Keys and values that are awkward in different ways. Keys are latin1 strings. */
import type { SeededRandom } from 'varve/testing';

export type KeyKind = 'alphabet' | 'nested' | 'paths' | 'random';

const letters = ['\0', '\xff', 'a', '/'] as const;
const names = ['a', 'b', 'photos', 'photos2', 'é', '', 'x'.repeat(40)] as const;

/** A key; the space of keys is small enough that most are met again. */
export function drawKey(kind: KeyKind, random: SeededRandom): string {
  switch (kind) {
    case 'alphabet':
      return drawLetters(random, random.pick([0, 1, 1, 2, 2, 3, 4, 6]));
    case 'nested':
      // Each a prefix of the longer ones, through every size of a radix tree's compressed path.
      return 'ab\0'.repeat(60).slice(0, random.below(180)) + random.pick(['', '', 'z', '\xff']);
    case 'paths':
      return drawPath(random);
    case 'random':
      break;
  }
  return (random.below(900) * 7_919).toString(random.pick([16, 16, 36])).padStart(9, 'k');
}

function drawLetters(random: SeededRandom, size: number): string {
  let key = '';
  while (key.length < size) {
    key += random.pick(letters);
  }
  return key;
}

function drawPath(random: SeededRandom): string {
  const depth = 1 + random.below(4);
  const parts = Array.from({ length: depth }, () =>
    random.chance(0.5) ? random.pick(names) : String(random.below(12)),
  );
  return parts.join('/');
}

/** Some beginning of a key, or a whole one. */
export function drawPrefix(kind: KeyKind, random: SeededRandom): string {
  const key = drawKey(kind, random);
  return random.chance(0.2) ? key : key.slice(0, random.below(key.length + 1));
}

export function drawValue(random: SeededRandom): string {
  const roll = random.below(200);
  if (roll === 0) {
    return drawBytes(random, 2_000 + random.below(9_000));
  }
  return roll < 20 ? '' : drawBytes(random, random.below(roll < 100 ? 12 : 80));
}

function drawBytes(random: SeededRandom, size: number): string {
  const unit = String.fromCharCode(random.below(256), random.below(256), random.below(256));
  return `${random.uint32()}${unit.repeat(Math.ceil(size / 3))}`.slice(0, size);
}
