/**
 * Times such as `2026-01-31T12:00:00Z`, as RFC 3339 has them. A time must say its zone: without one it would mean another time on
 * another machine. Seconds may be left out, and the colon of the zone.
 */
import { quoted, TextProblem } from './text-problem.ts';

/** Longer texts are no times. Bounds what the pattern may cost. */
const LENGTH_MAX = 64;

const pattern =
  /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(?:Z|([+-])(\d\d):?(\d\d))$/i;

/** Milliseconds since 1970. Throws `TextProblem` if the text is no time, or none that whole milliseconds can hold. */
export function parseEventTime(text: string): number {
  const found = text.length <= LENGTH_MAX ? pattern.exec(text) : null;
  if (found === null) {
    throw noTime(quoted(text));
  }
  const [year, month, day, hour, minute, second = 0] = found.slice(1, 7).map(numberOf) as Clock;
  const [fraction = '', sign, offsetHour = '0', offsetMinute = '0'] = found.slice(7);
  const isPossible =
    hour <= 23 &&
    minute <= 59 &&
    second <= 59 &&
    Number(offsetHour) <= 23 &&
    Number(offsetMinute) <= 59 &&
    isDay(year, month, day);
  if (!isPossible) {
    throw new TextProblem(
      `is ${JSON.stringify(text)}, a time that doesn't exist or that milliseconds since 1970 can't hold`,
    );
  }
  if (/[1-9]/.test(fraction.slice(3))) {
    throw new TextProblem(
      `is ${JSON.stringify(text)}, and digits below a millisecond can't be kept: leave them out`,
    );
  }
  const ms = Number(fraction.slice(0, 3).padEnd(3, '0'));
  const offset = (Number(offsetHour) * 60 + Number(offsetMinute)) * (sign === '-' ? -1 : 1);
  const start = startOfDay(year, month, day);
  return start + ((hour * 60 + minute - offset) * 60 + second) * 1_000 + ms;
}

/** For what is given as a time and is none. */
export function noTime(shown: string): TextProblem {
  return new TextProblem(
    `is neither whole milliseconds since 1970 nor a time like 2026-01-31T12:00:00Z: ${shown}`,
    { isForm: true },
  );
}

type Clock = [number, number, number, number, number, number | undefined];

function numberOf(digits: string | undefined): number | undefined {
  return digits === undefined ? undefined : Number(digits);
}

/** True for a day of the calendar: Date makes the 2nd of March of the 30th of February. */
function isDay(year: number, month: number, day: number): boolean {
  const date = new Date(startOfDay(year, month, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}

function startOfDay(year: number, month: number, day: number): number {
  // Not Date.UTC: it takes years below 100 for those of the last century.
  return new Date(0).setUTCFullYear(year, month - 1, day);
}
