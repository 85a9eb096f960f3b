/** A time in ms since the epoch as people and other programs read it. */
export function isoTime(time: number): string {
  return new Date(time).toISOString();
}
