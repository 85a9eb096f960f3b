/**
 * Generated event ids: UUIDv8 (RFC 9562 §5.8) made of 48 bits recorded time ‖ 53 bits position ‖ 21 bits drawn at open.
 * The position is in the id, so finding an event by it needs no index.
 *
 *   tttttttt-tttt-8ppp-vppp-pppppppddddd    v: variant bits 10, then position and draw without a gap
 */
export interface GeneratedId {
  readonly time: number;
  readonly position: number;
  readonly draw: number;
}

export const ID_DRAW_LIMIT: number = 2 ** 21;

const TWO_11 = 2 ** 11;
const TWO_30 = 2 ** 30;
const TWO_41 = 2 ** 41;
const VARIANT = 2 ** 31;

const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Ids of 2,048 neighbours recorded in one ms differ in their last 8 digits only. */
let cachedTime = -1;
let cachedBlock = -1;
let cachedDigits = '';

export function formatEventId(time: number, position: number, draw: number): string {
  const block = Math.floor(position / TWO_11);
  if (time !== cachedTime || block !== cachedBlock) {
    cachedTime = time;
    cachedBlock = block;
    cachedDigits = leadingDigits(time, block);
  }
  const last = (position % TWO_11) * ID_DRAW_LIMIT + draw;
  return cachedDigits + last.toString(16).padStart(8, '0');
}

/** All but the last 8 digits. `block`: the upper 42 bits of the position. */
function leadingDigits(time: number, block: number): string {
  const timeHex = time.toString(16).padStart(12, '0');
  const highHex = Math.floor(block / TWO_30)
    .toString(16)
    .padStart(3, '0');
  const middleHex = (VARIANT + (block % TWO_30)).toString(16);
  return `${timeHex.slice(0, 8)}-${timeHex.slice(8)}-8${highHex}-${middleHex.slice(0, 4)}-${middleHex.slice(4)}`;
}

/** What a generated id says, or undefined if it has not the form of one. */
export function parseEventId(id: string): GeneratedId | undefined {
  if (!pattern.test(id)) {
    return undefined;
  }
  const middle = Number.parseInt(id.slice(19, 23) + id.slice(24, 28), 16) - VARIANT;
  const last = Number.parseInt(id.slice(28), 16);
  const low = (middle % TWO_30) * TWO_11 + Math.floor(last / ID_DRAW_LIMIT);
  const position = Number.parseInt(id.slice(15, 18), 16) * TWO_41 + low;
  if (!Number.isSafeInteger(position)) {
    return undefined;
  }
  return {
    time: Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16),
    position,
    draw: last % ID_DRAW_LIMIT,
  };
}
