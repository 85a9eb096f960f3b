/**
 * Whether two values that came out of JSON are the same; the order of an object's fields makes no difference. Without
 * recursion: a log that an older version wrote may hold values of any depth.
 */
export function isSameJson(left: unknown, right: unknown): boolean {
  const lefts: unknown[] = [left];
  const rights: unknown[] = [right];
  while (lefts.length > 0) {
    const one = lefts.pop();
    const other = rights.pop();
    if (!isObject(one) || !isObject(other)) {
      // 0 and -0 are two values.
      if (!Object.is(one, other)) {
        return false;
      }
      continue;
    }
    const names = Object.keys(one);
    if (
      Array.isArray(one) !== Array.isArray(other) ||
      names.length !== Object.keys(other).length ||
      !names.every((name) => Object.hasOwn(other, name))
    ) {
      return false;
    }
    for (const name of names) {
      lefts.push(one[name]);
      rights.push(other[name]);
    }
  }
  return true;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
