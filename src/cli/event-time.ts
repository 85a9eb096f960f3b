/**
 * Milliseconds since 1970 from a time such as `2026-01-31T12:00:00Z`, or undefined if it is none. It must say its zone:
 * without one it would mean another time on another machine.
 */
export function parseEventTime(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d.*(?:Z|[+-]\d\d:?\d\d)$/i.test(text)) {
    return undefined;
  }
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
